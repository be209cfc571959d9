//! How pictures are made ready for a model: takes `preprocessor_config.json`, or what timm writes into `config.json`
//! instead, gives the file that a version keeps and the size of the pictures that come out. A file that asks for what is not
//! done is refused here, and not by the first picture.
//!
//! The file: <https://huggingface.co/docs/transformers/main_classes/image_processor>; timm's settings:
//! <https://huggingface.co/docs/timm/main/en/reference/data>.

use serde_json::{Value as Json, json};

use super::source::Source;
use crate::onnx::architectures::Picture;
use crate::registry::pictures::Steps;
use crate::registry::{PREPROCESSOR, Result};

/// Pillow's numbers of filters.
const FILTERS: [(&str, u64); 6] =
    [("nearest", 0), ("lanczos", 1), ("bilinear", 2), ("bicubic", 3), ("box", 4), ("hamming", 5)];
/// What timm keeps of an edge where nothing says it.
const CROP: f64 = 0.875;
/// Means and deviations of ImageNet, timm's default.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f64; 3] = [0.229, 0.224, 0.225];

/// How pictures are made ready.
#[derive(Debug)]
pub(super) struct Pictures {
    /// The content of `preprocessor_config.json`.
    pub(super) file: Vec<u8>,
    /// What comes out.
    pub(super) size: Picture,
}

impl Pictures {
    /// Reads what `source` says, `config` being its `config.json`.
    ///
    /// # Errors
    /// Nothing says it, it cannot be read, or the pictures would have no fixed size.
    pub(super) fn read(source: &Source, config: Option<&Json>) -> Result<Self> {
        let path = source.transformer.join(PREPROCESSOR);
        if path.is_file() {
            let file = std::fs::read(&path).map_err(crate::registry::Error::io("read", &path))?;
            let size = size(&file).map_err(|reason| source.wrong(&path, reason))?;
            return Ok(Self { file, size });
        }
        let path = source.transformer.join("config.json");
        let Some(timm) = config.map(|config| &config["pretrained_cfg"]).filter(|timm| timm.is_object()) else {
            return Err(source.refuse(format!(
                "it reads pictures, and there is no {PREPROCESSOR} in '{}', which says their size and how they are made \
                 ready",
                source.transformer.display()
            )));
        };
        let json = from_timm(timm).map_err(|reason| source.wrong(&path, reason))?;
        let mut file = serde_json::to_vec_pretty(&json).map_err(|error| source.wrong(&path, error.to_string()))?;
        file.push(b'\n');
        let size = size(&file).map_err(|reason| source.wrong(&path, reason))?;
        Ok(Self { file, size })
    }
}

/// The size of the pictures that come out of a processor of `transformers`.
fn size(file: &[u8]) -> Result<Picture, String> {
    let steps = Steps::parse(file).map_err(|reason| format!("cannot be followed: {reason}"))?;
    let [height, width] = steps.output;
    Ok(Picture { height, width })
}

/// The processor that does what timm does for evaluation: the picture is resized to more than the model reads, and the
/// middle kept.
fn from_timm(timm: &Json) -> Result<Json, String> {
    let input = timm["input_size"].as_array().map(Vec::as_slice);
    let Some([Json::Number(_), height, width]) = input else {
        return Err("has no pretrained_cfg.input_size of channels, height and width".to_owned());
    };
    let edge = |value: &Json| value.as_u64().filter(|edge| *edge > 0);
    let (Some(height), Some(width)) = (edge(height), edge(width)) else {
        return Err("has a pretrained_cfg.input_size that is no size".to_owned());
    };
    let both = json!({"height": height, "width": width});
    let name = timm["interpolation"].as_str().unwrap_or("bicubic");
    let filter = FILTERS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let filter = filter.ok_or_else(|| format!("has pretrained_cfg.interpolation = '{name}', which is not known"))?;
    let kept = timm["crop_pct"].as_f64().unwrap_or(CROP);
    if !(kept > 0.05 && kept <= 1.0) {
        return Err(format!("has pretrained_cfg.crop_pct = {kept}, which is no share of a picture"));
    }
    let resized = |edge: u64| (edge as f64 / kept).floor() as u64;
    let target = match timm["crop_mode"].as_str().unwrap_or("center") {
        "center" if height == width => json!({"shortest_edge": resized(height)}),
        "squash" => json!({"height": resized(height), "width": resized(width)}),
        other => {
            return Err(format!(
                "has pretrained_cfg.crop_mode = '{other}' for {} by {}, which is not supported; export the model to ONNX \
                 with a {PREPROCESSOR} beside it",
                height, width
            ));
        }
    };
    let list = |key: &str, default: [f64; 3]| match &timm[key] {
        Json::Null => json!(default),
        list => list.clone(),
    };
    Ok(json!({
        "do_resize": true, "size": target, "resample": filter,
        "do_center_crop": true, "crop_size": both,
        "do_rescale": true, "rescale_factor": 1.0 / 255.0,
        "do_normalize": true, "image_mean": list("mean", MEAN), "image_std": list("std", DEVIATION),
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn size_of(json: &Json) -> Result<Picture, String> {
        size(json.to_string().as_bytes())
    }

    #[test]
    fn what_the_first_picture_would_find_is_refused() {
        let message = size_of(&json!({"do_pad": true, "size": 224})).unwrap_err();
        assert_eq!(message, "cannot be followed: it asks for do_pad, which Debut does not do");
    }

    #[test]
    fn settings_of_timm_become_a_processor() {
        let json = from_timm(&json!({
            "input_size": [3, 224, 224], "interpolation": "bilinear", "crop_pct": 0.95, "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25], "fixed_input_size": false,
        }))
        .unwrap();
        assert_eq!(size_of(&json), Ok(Picture { height: 224, width: 224 }));
        // floor(224 / 0.95) = 235
        assert_eq!((&json["size"], &json["resample"]), (&json!({"shortest_edge": 235}), &json!(2)));
        assert_eq!((&json["image_mean"], &json["image_std"]), (&json!([0.5, 0.5, 0.5]), &json!([0.25, 0.25, 0.25])));
        let json = from_timm(&json!({"input_size": [3, 100, 50], "crop_mode": "squash", "crop_pct": 1.0})).unwrap();
        assert_eq!((&json["size"], &json["resample"]), (&json!({"height": 100, "width": 50}), &json!(3)));
        for (json, part) in [
            (json!({}), "input_size"),
            (json!({"input_size": [3, 0, 5]}), "no size"),
            (json!({"input_size": [3, 5, 5], "interpolation": "random"}), "random"),
            (json!({"input_size": [3, 5, 5], "crop_pct": 0.0}), "crop_pct"),
            (json!({"input_size": [3, 5, 5], "crop_mode": "border"}), "border"),
            (json!({"input_size": [3, 5, 6]}), "5 by 6"),
        ] {
            assert!(from_timm(&json).unwrap_err().contains(part), "{json}");
        }
    }
}
