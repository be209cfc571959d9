//! The session settings that start with `debut.`: `SET debut.model = '...'`.

use std::any::Any;
use std::fmt::{self, Display};
use std::str::FromStr;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigField, ConfigOptions, ExtensionOptions, Visit};
use datafusion::common::{DataFusionError, config_err, config_namespace};

/// The model that `embed(text)` uses when neither the call nor the session names one.
pub const DEFAULT_MODEL: &str = "all-MiniLM-L6-v2";

/// The model that `embed(image)` uses when neither the call nor the session names one.
pub const DEFAULT_IMAGE_MODEL: &str = "efficientnet-lite0";

config_namespace! {
    /// Settings of Debut.
    pub struct DebutConfig {
        /// The model used when a call names none: `name` or `name@version`.
        pub model: String, default = DEFAULT_MODEL.to_string()
        /// The model used for pictures (Binary) when a call names none: `name` or `name@version`.
        pub image_model: String, default = DEFAULT_IMAGE_MODEL.to_string()
        /// Where models run: `auto` (a GPU if there is one), `cpu`, or `cuda`, which is an error without a GPU.
        pub device: Device, default = Device::Auto
        /// Maximum number of tokens, padding included, in one run of a model: `auto` is 512 on a CPU and 16384 on a GPU. A picture has a token for each 32 x 32 pixels that the model reads.
        pub max_batch_tokens: BatchTokens, default = BatchTokens::Auto
        /// Never use the network: a missing model or runtime is an error.
        pub offline: bool, default = false
        /// Whether vectors are kept on disk, by model and content, so that the same input is not computed again: `on` or `off`.
        pub cache: Switch, default = Switch::On
        /// The folder of the cache; empty for `cache` in Debut's home.
        pub cache_folder: String, default = String::new()
        /// Maximum size of the cache on disk, such as `2G`; `auto` is a tenth of what is free there, at most 4G.
        pub cache_size: CacheSize, default = CacheSize::Auto
        /// Maximum memory of the cache in this process, such as `512M`.
        pub cache_memory: CacheMemory, default = CacheMemory::default()
    }
}

impl ConfigExtension for DebutConfig {
    const PREFIX: &'static str = "debut";
}

impl ExtensionOptions for DebutConfig {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), DataFusionError> {
        ConfigField::set(self, key, value)
    }

    /// The settings by their whole names, as `SET` takes them: `SHOW` looks for those.
    fn entries(&self) -> Vec<ConfigEntry> {
        let mut entries = Entries(Vec::new());
        self.visit(&mut entries, Self::PREFIX, "");
        entries.0
    }
}

/// What a visit of the settings finds.
struct Entries(Vec<ConfigEntry>);

impl Visit for Entries {
    fn some<V: Display>(&mut self, key: &str, value: V, description: &'static str) {
        self.0.push(ConfigEntry { key: key.to_string(), value: Some(value.to_string()), description });
    }

    fn none(&mut self, key: &str, description: &'static str) {
        self.0.push(ConfigEntry { key: key.to_string(), value: None, description });
    }
}

impl DebutConfig {
    /// The settings in `options`, or the defaults where no Debut extension was registered.
    pub fn of(options: &ConfigOptions) -> Self {
        options.extensions.get::<Self>().cloned().unwrap_or_default()
    }
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Switch {
    /// On.
    #[default]
    On,
    /// Off.
    Off,
}

impl Switch {
    /// Whether it is on.
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

impl Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "on" } else { "off" })
    }
}

impl FromStr for Switch {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" => Ok(Self::On),
            "off" | "false" => Ok(Self::Off),
            _ => config_err!("debut.cache is 'on' or 'off', not '{text}'"),
        }
    }
}

/// Most tokens in one run of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BatchTokens {
    /// As many as suit the device.
    #[default]
    Auto,
    /// So many.
    Most(usize),
}

impl Display for BatchTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Most(tokens) => write!(f, "{tokens}"),
        }
    }
}

impl FromStr for BatchTokens {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        match text.parse() {
            Ok(tokens) => Ok(Self::Most(tokens)),
            Err(_) => config_err!("debut.max_batch_tokens is 'auto' or a number such as 512, not '{text}'"),
        }
    }
}

/// How large the cache may be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CacheSize {
    /// A share of what is free.
    #[default]
    Auto,
    /// Bytes.
    Bytes(u64),
}

impl Display for CacheSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

impl FromStr for CacheSize {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        match bytes(text) {
            Some(bytes) => Ok(Self::Bytes(bytes)),
            None => config_err!("debut.cache_size is 'auto' or a size such as '2G', not '{text}'"),
        }
    }
}

/// How much memory the cache may take: bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheMemory(pub u64);

impl Default for CacheMemory {
    /// 128 MiB: 50,000 vectors of 384 numbers and where they are on disk.
    fn default() -> Self {
        Self(128 << 20)
    }
}

impl Display for CacheMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for CacheMemory {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match bytes(text) {
            Some(bytes) => Ok(Self(bytes)),
            None => config_err!("debut.cache_memory is a size such as '512M', not '{text}'"),
        }
    }
}

/// Bytes from `1048576`, `512M`, `2G`, `2GiB`; the units are powers of 1024, as in most tools that limit memory.
pub fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// Where models run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Device {
    /// CUDA if it is there, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU; an error where there is none.
    Cuda,
}

impl Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

impl FromStr for Device {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            _ => config_err!("debut.device is 'auto', 'cpu' or 'cuda', not '{text}'"),
        }
    }
}

/// Settings that are read from text and shown as text.
macro_rules! text_settings {
    ($($setting:ty),*) => {$(
        impl ConfigField for $setting {
            fn visit<V: Visit>(&self, v: &mut V, key: &str, description: &'static str) {
                v.some(key, self, description);
            }

            fn set(&mut self, _key: &str, value: &str) -> Result<(), DataFusionError> {
                *self = value.parse()?;
                Ok(())
            }
        }
    )*};
}
text_settings!(BatchTokens, Device, Switch, CacheSize, CacheMemory);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_set_by_what_people_write() {
        for (text, switch) in [("on", Switch::On), ("TRUE", Switch::On), ("off", Switch::Off), ("false", Switch::Off)] {
            assert_eq!(text.parse::<Switch>().unwrap(), switch);
        }
        assert!("maybe".parse::<Switch>().unwrap_err().to_string().contains("'on' or 'off'"));
        assert_eq!("2G".parse::<CacheSize>().unwrap(), CacheSize::Bytes(2 << 30));
        assert_eq!("Auto".parse::<CacheSize>().unwrap(), CacheSize::Auto);
        assert_eq!("1024".parse::<CacheMemory>().unwrap(), CacheMemory(1024));
        for wrong in ["", "-1", "2X", "99999999999T", "1.5G"] {
            assert!(wrong.parse::<CacheSize>().unwrap_err().to_string().contains("cache_size"), "{wrong}");
            assert!(wrong.parse::<CacheMemory>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_setting_reads_what_it_shows() {
        for size in [CacheSize::Auto, CacheSize::Bytes(12_345)] {
            assert_eq!(size.to_string().parse::<CacheSize>().unwrap(), size);
        }
        assert_eq!(CacheMemory::default().to_string().parse::<CacheMemory>().unwrap(), CacheMemory::default());
    }
}
