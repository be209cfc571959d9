//! One option of a function, as data: name, values, default, who reads it, what it means.

use std::fmt::{self, Display};

/// An option.
#[derive(Debug)]
pub struct Setting {
    /// Its name in SQL.
    pub name: &'static str,
    /// The values it takes.
    pub kind: Kind,
    /// Its value where a call does not give one.
    pub default: Default,
    /// Which calls read it; elsewhere it is an error.
    pub readers: Readers,
    /// What it means, for the documentation.
    pub meaning: &'static str,
}

impl Setting {
    /// What it means, takes, is by default, and who reads it: for documentation.
    pub fn describe(&self) -> String {
        let kind = self.kind.to_string();
        let mut text = match self.kind {
            Kind::OneOf(_) => format!("{}: {kind}.", self.meaning),
            _ => format!("{}. {}{}.", self.meaning, kind[..1].to_uppercase(), &kind[1..]),
        };
        match self.default {
            Default::Required => text += " Required.",
            Default::Absent | Default::SessionModel => {}
            Default::Value(value) => text += &format!(" Default {value}."),
            Default::By { cases, otherwise } => {
                let mut values: Vec<_> = cases.iter().map(|(_, name, value)| format!("{value} for {name}")).collect();
                values.extend(otherwise.map(|value| format!("else {value}")));
                text += &format!(" Default {}.", values.join(", "));
            }
        }
        match self.readers {
            Readers::All => {}
            Readers::Except(..) => text += &format!(" Not with {}.", self.readers.condition()),
            Readers::Given(option) => text += &format!(" Only with {option}."),
            Readers::GivenExcept(option, other, values) => {
                text += &format!(" Only with {option}, and not with {other} => {}.", alternatives(values));
            }
            _ => text += &format!(" Only with {}.", self.readers.condition()),
        }
        text
    }
}

/// The values that an option takes.
#[derive(Debug)]
pub enum Kind {
    /// Any text but the empty one.
    Text,
    /// One of these names.
    OneOf(&'static [&'static str]),
    /// An integer in this range, both ends included.
    Integer(u64, u64),
    /// A finite number in this range.
    Number(Bound, Bound),
    /// `true` or `false`.
    Boolean,
    /// Names, separated by commas, or a list of texts.
    Names,
    /// Integers in this range, separated by commas, or a list of them.
    Integers(u64, u64),
    /// Finite numbers in this range, separated by commas, or a list of them.
    Numbers(Bound, Bound),
    /// `role=column` pairs, separated by commas, with these roles.
    Columns(&'static [&'static str]),
    /// A timestamp, a date, an integer where times are integers, or `last`.
    Moment,
    /// A timestamp or a date.
    Timestamp,
}

/// An end of a range.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// The range has this end.
    Including(f64),
    /// The range goes up to this end.
    Excluding(f64),
}

/// What an option is where a call does not give it.
#[derive(Debug, Clone, Copy)]
pub enum Default {
    /// It has to be given.
    Required,
    /// It is left out.
    Absent,
    /// The session's `debut.model`.
    SessionModel,
    /// This value, as SQL would write it without quotes.
    Value(&'static str),
    /// The value of the first case that holds, as `(option, its value, default)`.
    By {
        /// The cases.
        cases: &'static [(&'static str, &'static str, &'static str)],
        /// The default where no case holds.
        otherwise: Option<&'static str>,
    },
}

/// Which calls read an option.
#[derive(Debug, Clone, Copy)]
pub enum Readers {
    /// All.
    All,
    /// Those in which another option has one of these values.
    Where(&'static str, &'static [&'static str]),
    /// Those in which another option has none of these values.
    Except(&'static str, &'static [&'static str]),
    /// Those in which another option is true.
    On(&'static str),
    /// Those in which another option is given.
    Given(&'static str),
    /// Those in which another option is given, and a third one has none of these values.
    GivenExcept(&'static str, &'static str, &'static [&'static str]),
}

impl Readers {
    /// The condition in words, without what it says of it; nothing for [`Self::All`].
    pub fn condition(&self) -> String {
        match self {
            Self::All => String::new(),
            Self::Where(option, values) | Self::Except(option, values) => {
                format!("{option} => {}", alternatives(values))
            }
            Self::On(option) => format!("{option} => true"),
            Self::Given(option) => format!("{option} => ..."),
            Self::GivenExcept(option, other, values) => {
                format!("{option} => ..., and not with {other} => {}", alternatives(values))
            }
        }
    }
}

/// `'a', 'b' or 'c'`.
pub fn alternatives(values: &[&str]) -> String {
    let quoted: Vec<_> = values.iter().map(|value| format!("'{value}'")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::OneOf(values) => f.write_str(&alternatives(values)),
            Self::Integer(least, most) => write!(f, "an integer {}", integers(*least, *most)),
            Self::Number(least, most) => write!(f, "a number {}", numbers(*least, *most)),
            Self::Boolean => f.write_str("true or false"),
            Self::Names => f.write_str("names such as 'query, value'"),
            Self::Integers(least, most) => {
                write!(f, "integers {}, such as '10, 20'", integers(*least, *most))
            }
            Self::Numbers(least, most) => write!(f, "numbers {}, such as '1, 1.5, 2'", numbers(*least, *most)),
            Self::Columns(_) => f.write_str("pairs such as 'text=title, label=article_type'"),
            Self::Moment => {
                f.write_str("a timestamp such as '2026-01-31' (or an integer, where times are integers) or 'last'")
            }
            Self::Timestamp => f.write_str("a timestamp such as '2026-01-31' or '2026-01-31 12:00'"),
        }
    }
}

fn integers(least: u64, most: u64) -> String {
    if most == u64::MAX { format!("from {least}") } else { format!("from {least} to {most}") }
}

fn numbers(least: Bound, most: Bound) -> String {
    match (least, most) {
        (Bound::Including(least), Bound::Including(most)) => format!("from {least} to {most}"),
        (Bound::Including(least), Bound::Excluding(most)) => format!("from {least} to below {most}"),
        (Bound::Excluding(least), Bound::Including(most)) => format!("above {least} and up to {most}"),
        (Bound::Excluding(least), Bound::Excluding(most)) => format!("above {least} and below {most}"),
    }
}

/// An option; for tables of them.
pub const fn setting(
    name: &'static str,
    kind: Kind,
    default: Default,
    readers: Readers,
    meaning: &'static str,
) -> Setting {
    Setting { name, kind, default, readers, meaning }
}
