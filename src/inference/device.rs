//! Where a session runs.
//!
//! Takes the setting `debut.device` and what the runtime can do; gives a [`Placement`]. Called by `inference::models`.

use std::fmt::{self, Display};

/// The device of a session: what `debut.device` came down to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Placement {
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU by its number, with its name where that is known.
    Cuda {
        /// The CUDA device number.
        id: i32,
        /// Such as `NVIDIA H100`.
        name: Option<String>,
    },
}

impl Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { id, name: Some(name) } => write!(f, "cuda:{id} ({name})"),
            Self::Cuda { id, name: None } => write!(f, "cuda:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_read_like_pytorch_names() {
        assert_eq!(Placement::Cpu.to_string(), "cpu");
        assert_eq!(Placement::Cuda { id: 1, name: None }.to_string(), "cuda:1");
        let named = Placement::Cuda { id: 0, name: Some("NVIDIA H100".into()) };
        assert_eq!(named.to_string(), "cuda:0 (NVIDIA H100)");
    }
}
