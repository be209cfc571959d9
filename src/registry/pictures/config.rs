//! `preprocessor_config.json`: what the image processors of `transformers` do to a picture.
//!
//! Takes the file; gives [`Steps`]. A step that is not known here is an error and never left out: a model that sees other
//! pixels than it was trained on gives other vectors.

use serde::Deserialize;

use super::steps::{Filter, Size, Steps};

/// Below this edge, ConvNeXt's processor resizes to more than it keeps.
const CONVNEXT_WARPS_FROM: usize = 384;
/// What ConvNeXt's processor keeps of an edge where the file does not say.
const CONVNEXT_CROP: f64 = 224.0 / 256.0;
/// The largest edge that a model may read: a mistake in the file should not ask for gigabytes.
const LARGEST_EDGE: usize = 4096;

/// The file; what is not read here says nothing about pixels.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    size: Option<Edges>,
    resample: Option<u8>,
    do_center_crop: Option<bool>,
    crop_size: Option<Edges>,
    crop_pct: Option<f64>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    rescale_offset: Option<bool>,
    do_normalize: Option<bool>,
    image_mean: Option<Channels>,
    image_std: Option<Channels>,
    include_top: Option<bool>,
    do_pad: Option<bool>,
    do_flip_channel_order: Option<bool>,
    do_thumbnail: Option<bool>,
    do_align_long_axis: Option<bool>,
}

/// A size, as one number or by its edges.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Edges {
    Number(usize),
    Named(Named),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    height: Option<usize>,
    width: Option<usize>,
    shortest_edge: Option<usize>,
}

/// A number for each channel, or one for all.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Channels {
    Each([f64; 3]),
    All(f64),
}

impl Channels {
    fn each(self) -> [f64; 3] {
        match self {
            Self::Each(values) => values,
            Self::All(value) => [value; 3],
        }
    }
}

/// What a processor does where its file is silent, as files from before 2023 are.
#[derive(Debug, Clone, Copy)]
struct Defaults {
    /// What a size of one number means: a square, or the shorter edge.
    square: bool,
    crops: bool,
    resample: Option<u8>,
}

impl Defaults {
    fn of(processor: &str) -> Option<Self> {
        let of = |square, crops, resample| Some(Self { square, crops, resample });
        match processor {
            "ViT" => of(true, false, Some(2)),
            "Siglip" => of(true, false, Some(3)),
            "DeiT" => of(true, true, Some(3)),
            // The default of its filter has changed between versions.
            "EfficientNet" => of(true, false, None),
            "ConvNext" => of(false, false, Some(3)),
            "CLIP" | "Bit" => of(false, true, Some(3)),
            "MobileNetV1" | "MobileNetV2" => of(false, true, Some(2)),
            _ => None,
        }
    }
}

/// The architecture in the name of a processor: `CLIP` of `CLIPImageProcessorFast`.
fn architecture(file: &File) -> &str {
    let name = file.image_processor_type.as_deref().or(file.feature_extractor_type.as_deref()).unwrap_or_default();
    let name = name.strip_suffix("Fast").or(name.strip_suffix("Pil")).unwrap_or(name);
    name.strip_suffix("ImageProcessor").or(name.strip_suffix("FeatureExtractor")).unwrap_or(name)
}

impl Steps {
    /// The steps that the content of a file asks for.
    ///
    /// # Errors
    /// It is not such a file, asks for what is not done here, or leaves open what has to be known.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        for (name, asked) in [
            ("do_pad", file.do_pad),
            ("do_flip_channel_order", file.do_flip_channel_order),
            ("do_thumbnail", file.do_thumbnail),
            ("do_align_long_axis", file.do_align_long_axis),
        ] {
            if asked == Some(true) {
                return Err(format!("it asks for {name}, which Debut does not do"));
            }
        }
        let architecture = architecture(&file);
        let defaults = Defaults::of(architecture);
        let mut crop = center_crop(&file, defaults)?;
        let mut resize = resize(&file, defaults)?;
        if let Some((Size::ShortestEdge(edge), filter)) = resize
            && (architecture == "ConvNext" || file.crop_pct.is_some())
        {
            if edge < CONVNEXT_WARPS_FROM {
                let kept = file.crop_pct.unwrap_or(CONVNEXT_CROP);
                if !(0.05..=1.0).contains(&kept) {
                    return Err(format!("crop_pct is a share of the picture, not {kept}"));
                }
                resize = Some((Size::ShortestEdge((edge as f64 / kept) as usize), filter));
                crop = crop.or(Some([edge; 2]));
            } else {
                resize = Some((Size::Exact([edge; 2]), filter));
            }
        }
        let output = match (crop, resize) {
            (Some(crop), _) => crop,
            (None, Some((Size::Exact(size), _))) => size,
            (None, Some((Size::ShortestEdge(_), _))) => {
                return Err("it keeps the shape of pictures, and the model has to be given one shape: it needs \
                            do_center_crop with crop_size, or size with height and width"
                    .to_string());
            }
            (None, None) => return Err("it makes pictures no size: it needs size or crop_size".to_string()),
        };
        let edges = [output[0], output[1], resize.map_or(1, |(size, _)| size.largest())];
        if let Some(edge) = edges.into_iter().find(|edge| !(1..=LARGEST_EDGE).contains(edge)) {
            return Err(format!("an edge of {edge} pixels is not between 1 and {LARGEST_EDGE}"));
        }
        Ok(Self { resize, output, levels: levels(&file, architecture)? })
    }
}

fn resize(file: &File, defaults: Option<Defaults>) -> Result<Option<(Size, Filter)>, String> {
    if !file.do_resize.unwrap_or(file.size.is_some()) {
        return Ok(None);
    }
    let size = match (file.size, defaults) {
        (None, _) => return Err("it asks for do_resize, and has no size".to_string()),
        (Some(Edges::Number(edge)), Some(Defaults { square: true, .. })) => Size::Exact([edge; 2]),
        (Some(Edges::Number(edge)), Some(_)) => Size::ShortestEdge(edge),
        (Some(Edges::Number(edge)), None) => {
            return Err(format!(
                "its size {edge} may be a square or the shorter edge: name the image_processor_type, or write \
                 {{\"height\": {edge}, \"width\": {edge}}} or {{\"shortest_edge\": {edge}}}"
            ));
        }
        (Some(Edges::Named(Named { height: Some(height), width: Some(width), shortest_edge: None })), _) => {
            Size::Exact([height, width])
        }
        (Some(Edges::Named(Named { height: None, width: None, shortest_edge: Some(edge) })), _) => {
            Size::ShortestEdge(edge)
        }
        (Some(Edges::Named(_)), _) => return Err("its size is neither height and width nor shortest_edge".to_string()),
    };
    let resample = file.resample.or(defaults.and_then(|defaults| defaults.resample));
    let number = resample.ok_or("it does not say with which filter to resize: resample is missing")?;
    match Filter::of(number) {
        Some(filter) => Ok(Some((size, filter))),
        None => Err(format!("its resample is {number}, which is none of Pillow's filters, 0 to 5")),
    }
}

fn center_crop(file: &File, defaults: Option<Defaults>) -> Result<Option<[usize; 2]>, String> {
    let by_default = defaults.map_or(file.crop_size.is_some(), |defaults| defaults.crops);
    if !file.do_center_crop.unwrap_or(by_default) {
        return Ok(None);
    }
    match file.crop_size {
        Some(Edges::Number(edge)) => Ok(Some([edge; 2])),
        Some(Edges::Named(Named { height: Some(height), width: Some(width), shortest_edge: None })) => {
            Ok(Some([height, width]))
        }
        Some(Edges::Named(_)) => Err("its crop_size is not height and width".to_string()),
        None => Err("it asks for do_center_crop, and has no crop_size".to_string()),
    }
}

/// The number of each level, in the order of operations and in the precision of `transformers`.
fn levels(file: &File, architecture: &str) -> Result<[[f32; 256]; 3], String> {
    let factor = file.do_rescale.unwrap_or(true).then(|| file.rescale_factor.unwrap_or(1.0 / 255.0));
    let offset = if file.rescale_offset == Some(true) && factor.is_some() { 1.0 } else { 0.0 };
    // EfficientNet's processor divides a second time for the models with a classifier.
    let again = architecture == "EfficientNet" && file.include_top.unwrap_or(true);
    let normalizes = file.do_normalize.unwrap_or(true);
    let channels = |name: &str, found: Option<Channels>| {
        found.map(Channels::each).ok_or(format!("it normalizes, and has no {name}"))
    };
    let (mean, std) = match normalizes {
        true => (channels("image_mean", file.image_mean)?, channels("image_std", file.image_std)?),
        false if again => ([0.0; 3], channels("image_std", file.image_std)?),
        false => ([0.0; 3], [1.0; 3]),
    };
    let finite = |values: [f64; 3]| values.iter().all(|value| (*value as f32).is_finite());
    if !finite(mean)
        || !finite(std)
        || std.iter().any(|std| (*std as f32) == 0.0)
        || !finite([factor.unwrap_or(1.0); 3])
    {
        return Err("its image_mean, image_std or rescale_factor gives no finite numbers".to_string());
    }
    let mut levels = [[0.0; 256]; 3];
    for ((numbers, mean), std) in levels.iter_mut().zip(mean).zip(std) {
        let (mean, std) = (mean as f32, std as f32);
        for (level, number) in (0u16..).zip(numbers.iter_mut()) {
            let level = f64::from(level);
            let mut value = factor.map_or(level, |factor| level * factor) as f32 - offset;
            if normalizes {
                value = (value - mean) / std;
            }
            *number = if again { value / std } else { value };
        }
    }
    Ok(levels)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Steps, String> {
        Steps::parse(json.as_bytes())
    }

    #[test]
    fn old_files_mean_what_their_processors_did() {
        let vit = r#"{"do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": 0.5,
                      "feature_extractor_type": "ViTFeatureExtractor", "size": 224}"#;
        let steps = parse(vit).unwrap();
        assert_eq!(steps.resize, Some((Size::Exact([224, 224]), Filter::Bilinear)));
        assert_eq!(steps.output, [224, 224]);
        assert_eq!((steps.levels[0][0], steps.levels[2][255]), (-1.0, 1.0));
        let clip = r#"{"crop_size": 224, "do_center_crop": true, "do_normalize": false, "do_rescale": false, "resample": 1,
                       "feature_extractor_type": "CLIPFeatureExtractor", "size": 336}"#;
        let steps = parse(clip).unwrap();
        assert_eq!(steps.resize, Some((Size::ShortestEdge(336), Filter::Lanczos)));
        assert_eq!((steps.output, steps.levels[1][7]), ([224, 224], 7.0));
    }

    #[test]
    fn convnext_keeps_less_than_it_resizes_to_and_warps_large_ones() {
        let of = |edge: usize| {
            let json = format!(
                r#"{{"image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.875, "do_normalize": false,
                     "resample": 3, "size": {{"shortest_edge": {edge}}}}}"#
            );
            parse(&json).unwrap()
        };
        assert_eq!((of(224).resize.unwrap().0, of(224).output), (Size::ShortestEdge(256), [224, 224]));
        assert_eq!((of(384).resize.unwrap().0, of(384).output), (Size::Exact([384, 384]), [384, 384]));
    }

    #[test]
    fn what_comes_out_is_cropped_where_the_processor_crops() {
        for (kind, crop, size, output) in [
            ("", r#""crop_size": 224, "do_center_crop": true"#, "256", None),
            ("CLIPImageProcessor", r#""crop_size": {"height": 200, "width": 100}"#, "256", Some([200, 100])),
            ("ViTImageProcessor", r#""do_center_crop": false, "crop_size": 224"#, "32", Some([32, 32])),
            ("EfficientNetImageProcessor", r#""crop_size": 289"#, "346", Some([346, 346])),
            ("EfficientNetImageProcessor", r#""do_center_crop": true, "crop_size": 289"#, "346", Some([289, 289])),
        ] {
            let json = format!(
                r#"{{"image_processor_type": "{kind}", {crop}, "size": {size}, "resample": 2, "do_normalize": false,
                     "include_top": false}}"#
            );
            assert_eq!(parse(&json).ok().map(|steps| steps.output), output, "{json}");
        }
    }

    #[test]
    fn a_file_that_leaves_something_open_is_refused() {
        for (json, said) in [
            ("[", "EOF"),
            ("{}", "it makes pictures no size"),
            (r#"{"size": 224, "resample": 2}"#, "may be a square or the shorter edge"),
            (r#"{"size": {"height": 4}, "resample": 2}"#, "neither height and width nor shortest_edge"),
            (r#"{"size": {"longest_edge": 4}, "resample": 2}"#, "Edges"),
            (r#"{"size": {"shortest_edge": 4}, "resample": 2}"#, "keeps the shape"),
            (r#"{"size": {"height": 4, "width": 4}}"#, "resample is missing"),
            (r#"{"size": {"height": 4, "width": 4}, "resample": 9}"#, "none of Pillow's filters"),
            (r#"{"size": {"height": 4, "width": 9999}, "resample": 2}"#, "edge of 9999"),
            (r#"{"size": {"height": 4, "width": 0}, "resample": 2}"#, "edge of 0"),
            (r#"{"size": {"height": 4, "width": 4}, "resample": 2}"#, "has no image_mean"),
            (r#"{"size": {"height": 4, "width": 4}, "resample": 2, "image_mean": 0, "image_std": 0}"#, "no finite"),
            (r#"{"do_resize": true}"#, "has no size"),
            (r#"{"do_center_crop": true}"#, "has no crop_size"),
            (r#"{"crop_size": {"shortest_edge": 4}}"#, "crop_size is not height and width"),
            (r#"{"do_pad": true}"#, "it asks for do_pad"),
            (r#"{"crop_pct": 0, "size": {"shortest_edge": 4}, "resample": 2}"#, "crop_pct is a share"),
        ] {
            let message = parse(json).unwrap_err();
            assert!(message.contains(said), "{json}: {message}");
        }
    }
}
