//! The session settings that start with `debut.`: `SET debut.model = '...'`.

use std::any::Any;
use std::fmt::{self, Display};
use std::str::FromStr;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigField, ConfigOptions, ExtensionOptions, Visit};
use datafusion::common::{DataFusionError, config_err, config_namespace};

/// The model that `embed(text)` uses when neither the call nor the session names one.
pub const DEFAULT_MODEL: &str = "all-MiniLM-L6-v2";

config_namespace! {
    /// Settings of Debut.
    pub struct DebutConfig {
        /// The model used when a call names none: `name` or `name@version`.
        pub model: String, default = DEFAULT_MODEL.to_string()
        /// Where models run: `auto` (a GPU if there is one), `cpu`, or `cuda`, which is an error without a GPU.
        pub device: Device, default = Device::Auto
        /// Maximum number of tokens, padding included, in one run of a model; a GPU is faster with more.
        pub max_batch_tokens: usize, default = 512
        /// Never use the network: a missing model or runtime is an error.
        pub offline: bool, default = false
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

impl ConfigField for Device {
    fn visit<V: Visit>(&self, v: &mut V, key: &str, description: &'static str) {
        v.some(key, self, description);
    }

    fn set(&mut self, _key: &str, value: &str) -> Result<(), DataFusionError> {
        *self = value.parse()?;
        Ok(())
    }
}
