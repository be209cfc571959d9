//! The settings of a model: takes its JSON files, gives what they say about pooling, length and prompts, or says which one
//! cannot be followed. A setting that would change results is refused rather than ignored.
//!
//! The files are those of sentence-transformers (<https://sbert.net>) and transformers.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::options::POOLINGS;
use super::source::Source;
use crate::onnx::architectures::timm_name;
use crate::registry::manifest::Pooling;
use crate::registry::{Result, TOKENIZER};

/// Tokenizers without a limit write a number of this size or more.
const NO_LIMIT: f64 = 1e9;
/// The names of poolings that a file may hold and that are not options.
const OTHER_POOLINGS: [(&str, Pooling); 1] = [("mean_sqrt_len_tokens", Pooling::MeanSqrtLen)];
/// Older names: one flag a pooling.
const POOLING_FLAGS: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];
/// Architectures whose positions start behind the padding token's number.
const SHIFTED_POSITIONS: [&str; 5] = ["camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"];

/// What a model's files say.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// `config.json`.
    pub(super) config: Option<Json>,
    /// How token vectors become one, where the files say so.
    pub(super) pooling: Option<Pooling>,
    /// Whether vectors are normalised at the end.
    pub(super) normalize: bool,
    /// The lowest limit that the files name, in tokens.
    pub(super) max_tokens: Option<usize>,
    /// Prompts by the name of their use.
    pub(super) prompts: BTreeMap<String, String>,
    /// The prompt that sentence-transformers would apply where none is named.
    pub(super) default_prompt: Option<String>,
    /// Whether `config.json` names a sequence classification model.
    pub(super) classifier: bool,
}

impl Settings {
    /// Reads the files of `source`.
    ///
    /// # Errors
    /// A file is damaged, or says something that cannot be followed.
    pub(super) fn read(source: &Source) -> Result<Self> {
        let mut settings =
            Self { config: source.settings(&source.transformer.join("config.json"))?, ..Self::default() };
        let names = settings.config.as_ref().and_then(|config| config["architectures"].as_array());
        settings.classifier = names
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .any(|name| name.ends_with("ForSequenceClassification"));
        settings.read_modules(source)?;
        settings.read_lengths(source)?;
        settings.read_prompts(source)?;
        Ok(settings)
    }

    fn read_modules(&mut self, source: &Source) -> Result<()> {
        let path = source.root.join("modules.json");
        let mut pooling_folder = source.root.join("1_Pooling");
        for (place, module) in source.modules.iter().flatten().enumerate() {
            match (module.class.as_str(), place) {
                ("Transformer", 0) => {}
                ("Pooling", 1) => pooling_folder.clone_from(&module.folder),
                ("Normalize", 1..) => self.normalize = true,
                (class, place) => {
                    return Err(source.wrong(
                        &path,
                        format!(
                            "has {class} as module {place}; Debut supports Transformer, Pooling, Normalize in this order, \
                             and leaving a module out would change every vector"
                        ),
                    ));
                }
            }
        }
        self.read_pooling(source, &pooling_folder.join("config.json"))
    }

    fn read_pooling(&mut self, source: &Source, path: &std::path::Path) -> Result<()> {
        let Some(json) = source.settings(path)? else { return Ok(()) };
        let names = match &json["pooling_mode"] {
            Json::String(name) => vec![name.as_str()],
            Json::Array(names) => names.iter().filter_map(Json::as_str).collect(),
            _ => POOLING_FLAGS.iter().filter(|(flag, _)| json[flag] == true).map(|(_, name)| *name).collect(),
        };
        let name = match names.as_slice() {
            [] => "mean",
            [name] => name,
            names => {
                let names = names.join(", ");
                return Err(source.wrong(
                    path,
                    format!(
                        "asks for several poolings at once ({names}), whose vectors would be concatenated; Debut supports one"
                    ),
                ));
            }
        };
        let known = POOLINGS.iter().chain(&OTHER_POOLINGS).find(|(known, _)| *known == name);
        let pooling = known.map(|(_, pooling)| *pooling);
        self.pooling = Some(pooling.ok_or_else(|| {
            source.wrong(
                path,
                format!(
                    "asks for the pooling '{name}'; Debut knows mean, cls, max, mean_sqrt_len_tokens and lasttoken"
                ),
            )
        })?);
        if json["include_prompt"] == false {
            return Err(
                source.wrong(path, "excludes the prompt's tokens from the pooling, which Debut does not support")
            );
        }
        Ok(())
    }

    fn read_lengths(&mut self, source: &Source) -> Result<()> {
        let path = source.transformer.join("sentence_bert_config.json");
        if let Some(json) = source.settings(&path)? {
            if json["do_lower_case"] == true && !lowercases(source)? {
                return Err(source.wrong(
                    &path,
                    format!("wants lower case, but {TOKENIZER} keeps capitals; add a Lowercase normalizer to it"),
                ));
            }
            self.limit(length(source, &path, &json, "max_seq_length")?);
        }
        let path = source.transformer.join("tokenizer_config.json");
        if let Some(json) = source.settings(&path)? {
            self.limit(length(source, &path, &json, "model_max_length")?);
        }
        Ok(())
    }

    /// Lowers the limit, if there is a lower one.
    pub(super) fn limit(&mut self, tokens: Option<usize>) {
        self.max_tokens = self.max_tokens.into_iter().chain(tokens).min();
    }

    fn read_prompts(&mut self, source: &Source) -> Result<()> {
        let path = source.root.join("config_sentence_transformers.json");
        let Some(json) = source.settings(&path)? else { return Ok(()) };
        match &json["prompts"] {
            Json::Null => {}
            Json::Object(prompts) => {
                for (name, text) in prompts {
                    let text = text.as_str().ok_or_else(|| source.wrong(&path, format!("has no text for '{name}'")))?;
                    self.prompts.insert(name.clone(), text.to_owned());
                }
            }
            _ => return Err(source.wrong(&path, "has prompts that are not pairs of a name and a text")),
        }
        let default = json["default_prompt_name"].as_str();
        self.default_prompt = default.and_then(|name| self.prompts.get(name)).filter(|text| !text.is_empty()).cloned();
        Ok(())
    }

    /// `model_type` of `config.json`, the name that timm has for it, or `onnx`.
    pub(super) fn architecture(&self) -> &str {
        let Some(config) = &self.config else { return "onnx" };
        let timm = timm_name(config).and_then(|_| config["architecture"].as_str());
        timm.or(config["model_type"].as_str()).unwrap_or("onnx")
    }

    /// A whole number in `config.json` under the first of `keys` that it has.
    pub(super) fn size(&self, keys: &[&str]) -> Option<usize> {
        let config = self.config.as_ref()?;
        keys.iter().find_map(|key| usize::try_from(config[key].as_u64()?).ok())
    }

    /// Tokens that the architecture has positions for, where `config.json` says so.
    pub(super) fn positions(&self) -> Option<usize> {
        let positions = self.size(&["max_position_embeddings", "n_positions"])?;
        let shift = match SHIFTED_POSITIONS.contains(&self.architecture()) {
            true => self.size(&["pad_token_id"]).unwrap_or(1) + 1,
            false => 0,
        };
        positions.checked_sub(shift).filter(|positions| *positions > 0)
    }
}

/// A length in tokens; `None` where there is no limit.
fn length(source: &Source, path: &std::path::Path, json: &Json, key: &str) -> Result<Option<usize>> {
    let value = &json[key];
    if value.is_null() {
        return Ok(None);
    }
    let number = value.as_f64().filter(|number| *number >= 1.0 && number.fract() == 0.0);
    let number = number.ok_or_else(|| source.wrong(path, format!("has {key} = {value}, not a number of tokens")))?;
    Ok((number < NO_LIMIT).then_some(number as usize))
}

/// Whether the tokenizer makes lower case of everything.
fn lowercases(source: &Source) -> Result<bool> {
    fn lower(normalizer: &Json) -> bool {
        match normalizer["type"].as_str() {
            Some("Lowercase") => true,
            Some("BertNormalizer") => normalizer["lowercase"] == true,
            Some("Sequence") => normalizer["normalizers"].as_array().into_iter().flatten().any(lower),
            _ => false,
        }
    }
    let json = source.settings(&source.transformer.join(TOKENIZER))?;
    Ok(json.is_some_and(|json| lower(&json["normalizer"])))
}
