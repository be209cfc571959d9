//! PostgreSQL's own settings (run-time parameters) of a session: takes SET, RESET and what a client begins with; gives SHOW,
//! and what the client must be told of.
//!
//! A setting that changes what is sent has only the values that are sent: `client_encoding` is UTF8, `DateStyle` is ISO.
//! Others are kept, because drivers set and read them, and mean nothing here. `debut.*` and `datafusion.*` are the engine's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;

use super::backend;
use super::error::{PgError, codes};
use super::types::VectorOutput;

/// The version of PostgreSQL whose protocol, types and catalog these are.
pub(super) const SERVER_VERSION: &str = "16.6";

/// A setting.
struct Definition {
    name: &'static str,
    default: &'static str,
    /// Whether a client is told of it at once, and of every change.
    reported: bool,
    values: Values,
}

/// What a setting may be.
enum Values {
    /// Anything.
    Any,
    /// One of these, whatever their case; the first is how it is written.
    Only(&'static [&'static str]),
    /// `ISO`, and an order of day and month, which only matters to what PostgreSQL would read.
    DateStyle,
    /// Milliseconds, or a number with a unit.
    Milliseconds,
    /// Never.
    Fixed,
}

const fn setting(name: &'static str, default: &'static str, values: Values) -> Definition {
    Definition { name, default, reported: false, values }
}

const fn reported(name: &'static str, default: &'static str, values: Values) -> Definition {
    Definition { name, default, reported: true, values }
}

const DEFINITIONS: &[Definition] = &[
    reported("application_name", "", Values::Any),
    setting("bytea_output", "hex", Values::Only(&["hex"])),
    reported("client_encoding", "UTF8", Values::Only(&["UTF8", "UTF-8", "UNICODE"])),
    setting("client_min_messages", "notice", Values::Any),
    reported("DateStyle", "ISO, MDY", Values::DateStyle),
    setting("debut.vector_output", "array", Values::Only(&["array", "pgvector"])),
    setting("default_transaction_isolation", "read committed", Values::Any),
    reported("default_transaction_read_only", "off", Values::Any),
    setting("enable_seqscan", "on", Values::Any),
    setting("extra_float_digits", "1", Values::Any),
    setting("idle_in_transaction_session_timeout", "0", Values::Any),
    reported("in_hot_standby", "off", Values::Fixed),
    reported("integer_datetimes", "on", Values::Fixed),
    reported("IntervalStyle", "postgres", Values::Only(&["postgres"])),
    reported("is_superuser", "off", Values::Fixed),
    setting("jit", "off", Values::Any),
    setting("lc_collate", "C", Values::Fixed),
    setting("lc_ctype", "C", Values::Fixed),
    setting("lc_messages", "C", Values::Any),
    setting("lc_monetary", "C", Values::Any),
    setting("lock_timeout", "0", Values::Any),
    setting("max_identifier_length", "63", Values::Fixed),
    setting("max_index_keys", "32", Values::Fixed),
    setting("row_security", "on", Values::Any),
    reported("search_path", "public", Values::Any),
    reported("server_encoding", "UTF8", Values::Fixed),
    reported("server_version", SERVER_VERSION, Values::Fixed),
    setting("server_version_num", "160006", Values::Fixed),
    reported("session_authorization", "", Values::Fixed),
    reported("standard_conforming_strings", "on", Values::Only(&["on", "true", "1", "yes"])),
    setting("statement_timeout", "0", Values::Milliseconds),
    setting("synchronous_commit", "on", Values::Any),
    reported("TimeZone", "UTC", Values::Any),
    setting("transaction_isolation", "read committed", Values::Any),
    setting("transaction_read_only", "off", Values::Any),
    setting("work_mem", "4MB", Values::Any),
];

/// The settings of a session.
#[derive(Debug)]
pub(super) struct Settings {
    /// What is not as it began.
    changed: BTreeMap<String, String>,
    /// What is as it began, but not the default: `user`, and what the client's first message said.
    begun: BTreeMap<String, String>,
    /// What `SET LOCAL` changed, as it was before.
    before_local: BTreeMap<String, Option<String>>,
    /// The longest time that the server lets a statement run.
    longest: Option<Duration>,
}

impl Settings {
    /// The settings of a new session of `user`.
    pub(super) fn new(user: &str, longest: Option<Duration>) -> Self {
        let begun = BTreeMap::from([("session_authorization".to_string(), user.to_string())]);
        Self { changed: BTreeMap::new(), begun, before_local: BTreeMap::new(), longest }
    }

    /// Takes what a client began with: settings, and `options` of the form `-c name=value`.
    ///
    /// # Errors
    /// A setting has no such value. Names that are not known are the engine's and are given back.
    pub(super) fn begin(&mut self, given: BTreeMap<String, String>) -> Result<Vec<(String, String)>, PgError> {
        let mut engine = Vec::new();
        for (name, value) in given {
            match name.as_str() {
                "database" => {}
                "options" => {
                    for (name, value) in options(&value)? {
                        if is_setting(&name) { self.begin_one(&name, &value)? } else { engine.push((name, value)) }
                    }
                }
                _ if is_setting(&name) => self.begin_one(&name, &value)?,
                _ => engine.push((name, value)),
            }
        }
        Ok(engine)
    }

    fn begin_one(&mut self, name: &str, value: &str) -> Result<(), PgError> {
        let (name, value, _) = self.checked(name, value).map_err(|error| PgError { fatal: true, ..error })?;
        self.begun.insert(name, value);
        Ok(())
    }

    /// SET. Returns a warning where the value is another than was asked for.
    ///
    /// # Errors
    /// There is no such setting, or it has no such value.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<Option<PgError>, PgError> {
        let (name, value, warning) = match value {
            Some(value) => {
                let (name, value, warning) = self.checked(name, value)?;
                (name, Some(value), warning)
            }
            None => (known(name)?.name.to_string(), None, None),
        };
        if local {
            self.before_local.entry(name.clone()).or_insert_with(|| self.changed.get(&name).cloned());
        } else {
            self.before_local.remove(&name);
        }
        match value {
            Some(value) => self.changed.insert(name, value),
            None => self.changed.remove(&name),
        };
        Ok(warning)
    }

    /// RESET ALL.
    pub(super) fn reset_all(&mut self) {
        self.changed.clear();
        self.before_local.clear();
    }

    /// The end of a transaction: what was set for it only is as before.
    pub(super) fn end_transaction(&mut self) {
        for (name, value) in std::mem::take(&mut self.before_local) {
            match value {
                Some(value) => self.changed.insert(name, value),
                None => self.changed.remove(&name),
            };
        }
    }

    /// SHOW.
    ///
    /// # Errors
    /// There is no such setting.
    pub(super) fn show(&self, name: &str) -> Result<(&'static str, String), PgError> {
        let definition = known(name)?;
        Ok((definition.name, self.value(definition).to_string()))
    }

    /// SHOW ALL.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        DEFINITIONS.iter().map(|definition| (definition.name, self.value(definition)))
    }

    /// Every setting with its default and its value.
    pub(super) fn defaults(&self) -> impl Iterator<Item = (&'static str, &'static str, String)> {
        let every = DEFINITIONS.iter();
        every.map(|definition| (definition.name, definition.default, self.value(definition).to_string()))
    }

    /// How vectors are sent.
    pub(super) fn vectors(&self) -> VectorOutput {
        match self.changed.get("debut.vector_output").or_else(|| self.begun.get("debut.vector_output")) {
            Some(output) if output == "pgvector" => VectorOutput::Pgvector,
            _ => VectorOutput::Array,
        }
    }

    /// The longest time that a statement may take.
    pub(super) fn statement_timeout(&self) -> Option<Duration> {
        let value = self.changed.get("statement_timeout").or_else(|| self.begun.get("statement_timeout"));
        match value.and_then(|value| milliseconds(value)) {
            Some(0) | None => self.longest,
            Some(set) => {
                Some(self.longest.map_or(Duration::from_millis(set), |longest| longest.min(Duration::from_millis(set))))
            }
        }
    }

    /// Appends every setting that a client is to know, if it is another than in `told`, which is brought up to date.
    pub(super) fn report(&self, told: &mut BTreeMap<&'static str, String>, output: &mut BytesMut) {
        for definition in DEFINITIONS.iter().filter(|definition| definition.reported) {
            let value = self.value(definition);
            if told.get(definition.name).map(String::as_str) != Some(value) {
                backend::parameter(output, definition.name, value);
                told.insert(definition.name, value.to_string());
            }
        }
    }

    fn value(&self, definition: &Definition) -> &str {
        let set = self.changed.get(definition.name).or_else(|| self.begun.get(definition.name));
        set.map_or(definition.default, String::as_str)
    }

    /// The name and the value as they are written, and a warning where the value is not quite as it was asked for.
    fn checked(&self, name: &str, value: &str) -> Result<(String, String, Option<PgError>), PgError> {
        let definition = known(name)?;
        let name = definition.name;
        let wrong = || {
            let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
            PgError::error(codes::INVALID_PARAMETER_VALUE, message)
        };
        let mut warning = None;
        let value = match definition.values {
            Values::Any => value.to_string(),
            Values::Only(values) => {
                // A driver that begins with a setting may quote it as SQL does.
                let value = value.trim_matches('\'');
                if !values.iter().any(|known| known.eq_ignore_ascii_case(value)) {
                    return Err(wrong());
                }
                // Spellings of one value, but for these, which are two.
                if name == "debut.vector_output" { value.to_ascii_lowercase() } else { values[0].to_string() }
            }
            Values::DateStyle => date_style(value).ok_or_else(wrong)?,
            Values::Milliseconds => {
                let asked = milliseconds(value).ok_or_else(wrong)?;
                let longest = self.longest.map(|longest| u64::try_from(longest.as_millis()).unwrap_or(u64::MAX));
                match longest {
                    Some(longest) if asked == 0 || asked > longest => {
                        let message = format!("{name} is {longest}ms, the longest that this server allows");
                        warning = Some(PgError::error("01000", message));
                        longest.to_string()
                    }
                    _ => asked.to_string(),
                }
            }
            Values::Fixed => {
                let message = format!("parameter \"{name}\" cannot be changed");
                return Err(PgError::error("55P02", message));
            }
        };
        Ok((name.to_string(), value, warning))
    }
}

/// Whether a setting of this name is PostgreSQL's, and not the engine's.
pub(super) fn is_setting(name: &str) -> bool {
    definition(name).is_some() || !name.contains('.')
}

/// The settings of a session, which its functions read and change, too.
#[derive(Debug, Clone)]
pub(super) struct SharedSettings(Arc<Mutex<Settings>>);

impl SharedSettings {
    /// These settings.
    pub(super) fn new(settings: Settings) -> Self {
        Self(Arc::new(Mutex::new(settings)))
    }

    /// The settings as they are.
    pub(super) fn lock(&self) -> MutexGuard<'_, Settings> {
        // A setting is changed in one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether they are those of the same session.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

fn definition(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|definition| definition.name.eq_ignore_ascii_case(name))
}

fn known(name: &str) -> Result<&'static Definition, PgError> {
    let unknown =
        || PgError::error(codes::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""));
    definition(name).ok_or_else(unknown)
}

/// The way that dates are sent, with the order that was asked for.
fn date_style(value: &str) -> Option<String> {
    let mut order = "MDY";
    for word in value.split(',').map(str::trim) {
        match word.to_ascii_uppercase().as_str() {
            "ISO" | "DEFAULT" => {}
            "MDY" | "US" => order = "MDY",
            "DMY" | "EURO" | "EUROPEAN" => order = "DMY",
            "YMD" => order = "YMD",
            _ => return None,
        }
    }
    Some(format!("ISO, {order}"))
}

/// Milliseconds of `1000`, `30s`, `5min`, `1 h`.
fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    digits.trim_end().parse::<u64>().ok()?.checked_mul(unit)
}

/// The settings in `-c name=value --name=value`.
fn options(text: &str) -> Result<Vec<(String, String)>, PgError> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => word.extend(letters.next()),
            letter if letter.is_whitespace() => words.push(std::mem::take(&mut word)),
            letter => word.push(letter),
        }
    }
    words.push(word);
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next(),
            setting => setting.map(str::to_string),
        };
        let setting = setting.as_deref().and_then(|setting| setting.split_once('='));
        let (name, value) = setting.ok_or_else(|| {
            PgError::fatal(codes::SYNTAX_ERROR, format!("invalid command-line argument for server process: {word}"))
        })?;
        settings.push((name.trim().replace('-', "_"), value.trim().to_string()));
    }
    Ok(settings)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new("ada", None)
    }

    #[test]
    fn settings_have_the_values_that_are_sent() {
        let mut settings = settings();
        settings.set("CLIENT_ENCODING", Some("utf-8"), false).unwrap();
        assert_eq!(settings.show("client_encoding").unwrap(), ("client_encoding", "UTF8".to_string()));
        settings.set("datestyle", Some("iso, dmy"), false).unwrap();
        assert_eq!(settings.show("DateStyle").unwrap().1, "ISO, DMY");
        for (name, value) in [("client_encoding", "LATIN1"), ("DateStyle", "German"), ("bytea_output", "escape")] {
            assert_eq!(
                settings.set(name, Some(value), false).unwrap_err().code,
                codes::INVALID_PARAMETER_VALUE,
                "{name}"
            );
        }
        assert_eq!(settings.set("no_such", Some("1"), false).unwrap_err().code, codes::UNDEFINED_OBJECT);
        assert!(settings.set("server_version", Some("1"), false).is_err());
        settings.set("datestyle", None, false).unwrap();
        assert_eq!(settings.show("DateStyle").unwrap().1, "ISO, MDY");
        assert!(!is_setting("debut.model") && is_setting("debut.vector_output") && is_setting("no_such"));
    }

    #[test]
    fn a_timeout_is_within_the_servers() {
        let mut settings = Settings::new("ada", Some(Duration::from_secs(10)));
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(10)));
        assert_eq!(settings.set("statement_timeout", Some("5s"), false).unwrap(), None);
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(5)));
        for more in ["0", "1h"] {
            assert!(settings.set("statement_timeout", Some(more), false).unwrap().is_some(), "{more}");
            assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(10)));
        }
        assert!(settings.set("statement_timeout", Some("soon"), false).is_err());
    }

    #[test]
    fn what_is_set_for_a_transaction_ends_with_it() {
        let mut settings = settings();
        settings.set("work_mem", Some("1MB"), false).unwrap();
        settings.set("work_mem", Some("2MB"), true).unwrap();
        settings.set("jit", Some("on"), true).unwrap();
        settings.set("jit", Some("off"), false).unwrap();
        settings.end_transaction();
        assert_eq!(settings.show("work_mem").unwrap().1, "1MB");
        assert_eq!(settings.show("jit").unwrap().1, "off");
    }

    #[test]
    fn what_a_client_begins_with_stays_after_a_reset() {
        let mut settings = settings();
        let begun = [
            ("options", "-c work_mem=8MB --statement-timeout=1s -cdebut.model=m\\ n"),
            ("application_name", "psql"),
            ("database", "x"),
        ];
        let begun = begun.map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(settings.begin(begun.into()).unwrap(), [("debut.model".to_string(), "m n".to_string())]);
        settings.set("work_mem", Some("1MB"), false).unwrap();
        settings.reset_all();
        assert_eq!(settings.show("work_mem").unwrap().1, "8MB");
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(1)));
        let (mut told, mut output) = (BTreeMap::new(), BytesMut::new());
        settings.report(&mut told, &mut output);
        assert_eq!((told["application_name"].as_str(), told["session_authorization"].as_str()), ("psql", "ada"));
        output.clear();
        settings.report(&mut told, &mut output);
        assert!(output.is_empty());
        assert!(settings.begin([("options".to_string(), "-x".to_string())].into()).is_err());
    }
}
