//! How pictures are made ready for a model: takes `preprocessor_config.json`, or what timm writes into `config.json`
//! instead, gives the file that a version keeps and the size of the pictures that come out.
//!
//! Only the size is read here; what the rest of the file asks for is done, or refused, where pictures are made ready.
//! The file: <https://huggingface.co/docs/transformers/main_classes/image_processor>; timm's settings:
//! <https://huggingface.co/docs/timm/main/en/reference/data>.

use serde_json::{Value as Json, json};

use super::source::Source;
use crate::onnx::architectures::Picture;
use crate::registry::{PREPROCESSOR, Result};

/// Processors that crop only where they are told to; older files do not tell.
const CROPS_IF_TOLD: [&str; 4] = ["ConvNext", "EfficientNet", "Siglip", "ViT"];
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
        if let Some(json) = source.settings(&path)? {
            let file = std::fs::read(&path).map_err(crate::registry::Error::io("read", &path))?;
            let size = size(&json).map_err(|reason| source.wrong(&path, reason))?;
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
        let (json, size) = from_timm(timm).map_err(|reason| source.wrong(&path, reason))?;
        let mut file = serde_json::to_vec_pretty(&json).map_err(|error| source.wrong(&path, error.to_string()))?;
        file.push(b'\n');
        Ok(Self { file, size })
    }
}

/// The size of the pictures that come out of a processor of `transformers`.
fn size(json: &Json) -> Result<Picture, String> {
    let kind = json["image_processor_type"].as_str().or(json["feature_extractor_type"].as_str()).unwrap_or_default();
    let crops = match &json["do_center_crop"] {
        Json::Bool(crops) => *crops,
        _ => !json["crop_size"].is_null() && !CROPS_IF_TOLD.iter().any(|name| kind.starts_with(name)),
    };
    if crops {
        return edges(&json["crop_size"]).ok_or_else(|| "asks for a crop, and crop_size is not its size".to_owned());
    }
    if json["do_resize"] == false {
        return Err("does not resize pictures, and a model reads them in one size".to_owned());
    }
    let shortest = &json["size"]["shortest_edge"];
    if shortest.is_null() {
        return edges(&json["size"]).ok_or_else(|| "has no size of pictures (size: height and width)".to_owned());
    }
    // The processor of ConvNeXt crops, or squeezes, to what it calls the shortest edge.
    if kind.starts_with("ConvNext") || !json["crop_pct"].is_null() {
        return edges(shortest).ok_or_else(|| format!("has size.shortest_edge = {shortest}, which is no size"));
    }
    Err("keeps the shape of pictures (size.shortest_edge and no crop), and a model reads them in one size".to_owned())
}

/// One number for both edges, or height and width.
fn edges(value: &Json) -> Option<Picture> {
    let edge = |value: &Json| value.as_u64().filter(|edge| (1..=1 << 14).contains(edge)).map(|edge| edge as usize);
    match edge(value) {
        Some(edge) => Some(Picture { height: edge, width: edge }),
        None => Some(Picture { height: edge(&value["height"])?, width: edge(&value["width"])? }),
    }
}

/// The processor that does what timm does for evaluation: the picture is resized to more than the model reads, and the
/// middle kept.
fn from_timm(timm: &Json) -> Result<(Json, Picture), String> {
    let input = timm["input_size"].as_array().map(Vec::as_slice);
    let Some([Json::Number(_), height, width]) = input else {
        return Err("has no pretrained_cfg.input_size of channels, height and width".to_owned());
    };
    let both = json!({"height": height, "width": width});
    let size = edges(&both).ok_or_else(|| "has a pretrained_cfg.input_size that is no size".to_owned())?;
    let name = timm["interpolation"].as_str().unwrap_or("bicubic");
    let filter = FILTERS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let filter = filter.ok_or_else(|| format!("has pretrained_cfg.interpolation = '{name}', which is not known"))?;
    let kept = timm["crop_pct"].as_f64().unwrap_or(CROP);
    if !(kept > 0.05 && kept <= 1.0) {
        return Err(format!("has pretrained_cfg.crop_pct = {kept}, which is no share of a picture"));
    }
    let resized = |edge: usize| (edge as f64 / kept).floor() as usize;
    let target = match timm["crop_mode"].as_str().unwrap_or("center") {
        "center" if size.height == size.width => json!({"shortest_edge": resized(size.height)}),
        "squash" => json!({"height": resized(size.height), "width": resized(size.width)}),
        other => {
            return Err(format!(
                "has pretrained_cfg.crop_mode = '{other}' for {} by {}, which is not supported; export the model to ONNX \
                 with a {PREPROCESSOR} beside it",
                size.height, size.width
            ));
        }
    };
    let list = |key: &str, default: [f64; 3]| match &timm[key] {
        Json::Null => json!(default),
        list => list.clone(),
    };
    let json = json!({
        "do_resize": true, "size": target, "resample": filter,
        "do_center_crop": true, "crop_size": both,
        "do_rescale": true, "rescale_factor": 1.0 / 255.0,
        "do_normalize": true, "image_mean": list("mean", MEAN), "image_std": list("std", DEVIATION),
    });
    Ok((json, size))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn of(height: usize, width: usize) -> Result<Picture, String> {
        Ok(Picture { height, width })
    }

    #[test]
    fn sizes_are_those_that_processors_give() {
        let cases = [
            (json!({"do_center_crop": true, "crop_size": 224, "size": 256}), of(224, 224)),
            (json!({"do_center_crop": true, "crop_size": {"height": 200, "width": 100}}), of(200, 100)),
            (json!({"crop_size": 224, "size": 256}), of(224, 224)),
            (json!({"do_center_crop": false, "crop_size": 224, "size": {"height": 60, "width": 80}}), of(60, 80)),
            (json!({"image_processor_type": "ViTImageProcessor", "size": 32}), of(32, 32)),
            (
                json!({"image_processor_type": "EfficientNetImageProcessor", "crop_size": 289, "size": 346}),
                of(346, 346),
            ),
            (
                json!({"feature_extractor_type": "ConvNextFeatureExtractor", "size": {"shortest_edge": 224}}),
                of(224, 224),
            ),
            (json!({"crop_pct": 0.9, "size": {"shortest_edge": 384}}), of(384, 384)),
        ];
        for (json, expected) in cases {
            assert_eq!(size(&json), expected, "{json}");
        }
        for (json, part) in [
            (json!({}), "no size"),
            (json!({"do_resize": false, "size": 3}), "does not resize"),
            (json!({"size": {"shortest_edge": 224}}), "keeps the shape"),
            (json!({"do_center_crop": true, "size": 224}), "crop_size"),
            (json!({"size": {"height": 0, "width": 5}}), "no size"),
            (json!({"size": 1_000_000}), "no size"),
        ] {
            assert!(size(&json).unwrap_err().contains(part), "{json}");
        }
    }

    #[test]
    fn settings_of_timm_become_a_processor() {
        let (json, size) = from_timm(&json!({
            "input_size": [3, 224, 224], "interpolation": "bilinear", "crop_pct": 0.95, "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25], "fixed_input_size": false,
        }))
        .unwrap();
        assert_eq!(size, Picture { height: 224, width: 224 });
        // floor(224 / 0.95) = 235
        assert_eq!((&json["size"], &json["resample"]), (&json!({"shortest_edge": 235}), &json!(2)));
        assert_eq!(super::size(&json), Ok(size));
        assert_eq!((&json["image_mean"], &json["image_std"]), (&json!([0.5, 0.5, 0.5]), &json!([0.25, 0.25, 0.25])));
        let (json, _) =
            from_timm(&json!({"input_size": [3, 100, 50], "crop_mode": "squash", "crop_pct": 1.0})).unwrap();
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
