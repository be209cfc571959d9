//! The base of a training: takes a call and the columns of its examples, gives the version that it starts from. Where the
//! examples have texts and pictures it is one that reads both: an encoder of texts and an encoder of pictures as one graph.
//!
//! The vector of a row is the two vectors side by side, each of length one, so that neither speaks louder, and zeros where the
//! text or the picture is missing. A model of two towers that learns titles with pictures is joined too, and taken apart again
//! when it is published.

use arrow::datatypes::SchemaRef;
use debut_udfs::config::DebutConfig;
use debut_udfs::finetune::{ExampleForm, FinetuneOptions, Method, Objective};
use debut_udfs::model::Modality;
use debut_udfs::options::Inputs;

use super::data;
use super::encoder::POOLED;
use super::failure::{Failure, Result, failed};
use super::lifecycle;
use super::measure::open_encoder;
use super::pooling;
use super::settings;
use crate::inference::Models;
use crate::onnx::graph::{Dim, GraphBuilder, attribute_int};
use crate::onnx::join::{HAS_IMAGE, HAS_TEXT, IMAGE, TEXT, join};
use crate::onnx::proto::DataType;
use crate::onnx::{self, Error as GraphError};
use crate::registry::joined::Joined;
use crate::registry::manifest::{GraphOutput, OutputKind};
use crate::registry::{self, ModelVersion, TEXT_TOWER};

/// A base that does not go with the examples or with `image_base`.
#[derive(Debug, thiserror::Error)]
enum Mismatch {
    #[error(
        "image_base names '{image_base}', and examples has not both a column 'text' and a column 'image'; select both, name them \
         with columns => 'text=..., image=...', or leave image_base out"
    )]
    NotBoth { image_base: String },
    #[error(
        "image_base names '{image_base}', and base '{base}' reads texts and pictures already; leave image_base out, or start \
         from a base that reads texts"
    )]
    Already { image_base: String, base: String },
    #[error(
        "image_base names '{image_base}', and since => 'last' goes on from '{base}', which reads {reads}; leave image_base out, or \
         train anew without since"
    )]
    GoesOn { image_base: String, base: String, reads: String },
    #[error(
        "examples has a column 'text' beside the column 'image', and base '{base}' reads pictures alone; to read both write \
         image_base => '{base}' and as base a model that reads texts, or leave the column 'text' out"
    )]
    PicturesAlone { base: String },
    #[error(
        "'{image_base}' reads {reads}, and the pictures of examples need a model that reads bytes; name one with image_base => \
         'efficientnet-lite0', SET debut.image_model, or leave the column 'image' out"
    )]
    NoPictures { image_base: String, reads: String },
    #[error(
        "examples has a column 'image', and objective 'contrastive' learns texts with pictures in a model of two towers, such as \
         CLIP or SigLIP, which base '{base}' is not. Use one (CREATE MODEL clip FROM '...'), or give a column 'positive' with a \
         text that belongs to 'text' in place of the column 'image'"
    )]
    OneTower { base: String },
    #[error(
        "method => '{method}' does not train the two towers of '{base}' as they are published; use 'lora', 'adalora', 'full', \
         'top_layers' or 'bitfit'"
    )]
    NotOfTowers { method: &'static str, base: String },
    #[error("temperature is for texts, and base '{base}' has a scale of its own, which is trained; leave it out")]
    Temperature { base: String },
}

/// The version that a training starts from.
#[derive(Debug)]
pub(super) enum Base {
    /// One of the registry's.
    Found(ModelVersion),
    /// One that reads what two of the registry's read.
    Joined(Joined),
    /// One of the registry's that has two towers, both of which are trained.
    Towers(Box<Towers>),
}

/// A version of two towers as one that reads both.
#[derive(Debug)]
pub(super) struct Towers {
    /// The version; by itself, its tower for pictures.
    pub(super) images: ModelVersion,
    /// Its tower for texts.
    pub(super) texts: ModelVersion,
    joined: Joined,
}

impl Towers {
    /// The version that reads both, under the name of that of two towers.
    pub(super) fn version(&self) -> &ModelVersion {
        &self.joined.version
    }
}

impl Base {
    /// The version.
    pub(super) fn version(&self) -> &ModelVersion {
        match self {
            Self::Found(version) => version,
            Self::Joined(joined) => &joined.version,
            Self::Towers(towers) => towers.version(),
        }
    }

    /// The towers that are trained together.
    pub(super) fn towers(&self) -> Option<&Towers> {
        if let Self::Towers(towers) = self { Some(towers) } else { None }
    }
}

/// The base of the call with these options.
///
/// # Errors
/// It is not there, does not go with the examples or with `image_base`, or two graphs cannot be joined.
pub(super) fn base(
    models: &Models,
    options: &FinetuneOptions,
    schemas: &Inputs<SchemaRef>,
    config: &DebutConfig,
) -> Result<Base> {
    let found = lifecycle::base(models, options, config.offline)?;
    let form = options.objective.examples();
    let (Some(schema), true) = (&schemas.examples, form.is_of_one_input() || form == ExampleForm::Pairs) else {
        return Ok(Base::Found(found));
    };
    let columns = settings::columns(options).map_err(failed)?;
    if form == ExampleForm::Pairs {
        return if data::pairs_with_image(schema, &columns).map_err(failed)? {
            of_two_towers(models, options, &found).map(|towers| Base::Towers(Box::new(towers)))
        } else {
            Ok(Base::Found(found))
        };
    }
    let both = data::has_both(schema, &columns).map_err(failed)?;
    let (base, named) = (found.reference(), options.image_base.clone());
    let two_towers = found.manifest.text_tower.is_some();
    match (found.manifest.modality, named) {
        (Modality::TextAndBytes, Some(image_base)) => Err(failed(Mismatch::Already { image_base, base })),
        (_, Some(image_base)) if options.goes_on() => {
            let reads = found.manifest.what_it_reads();
            Err(failed(Mismatch::GoesOn { image_base, base, reads }))
        }
        (_, Some(image_base)) if !both => Err(failed(Mismatch::NotBoth { image_base })),
        (Modality::TextAndBytes, None) => Ok(Base::Found(found)),
        _ if !both || options.goes_on() => Ok(Base::Found(found)),
        (Modality::Bytes, _) if !two_towers => Err(failed(Mismatch::PicturesAlone { base: found.name })),
        (_, named) => {
            let registry = models.registry();
            let named = named.as_deref().unwrap_or(if two_towers { &base } else { &config.image_model });
            let image = registry.resolve_or_install(named, config.offline, models.progress()).map_err(failed)?;
            if image.manifest.modality != Modality::Bytes {
                let reads = image.manifest.what_it_reads();
                return Err(failed(Mismatch::NoPictures { image_base: image.reference(), reads }));
            }
            let text = if two_towers { registry.kept_within(&found, TEXT_TOWER).map_err(failed)? } else { found };
            fuse(models, &text, &image).map(Base::Joined)
        }
    }
}

/// The towers of `found`, to be trained as the options say.
fn of_two_towers(models: &Models, options: &FinetuneOptions, found: &ModelVersion) -> Result<Towers> {
    let base = found.reference();
    match (&options.objective, &options.method) {
        _ if found.manifest.text_tower.is_none() => Err(failed(Mismatch::OneTower { base })),
        (Objective::Contrastive { temperature: Some(_) }, _) => Err(failed(Mismatch::Temperature { base })),
        (_, method @ (Method::Head | Method::Adapter { .. } | Method::Prefix { .. })) => {
            Err(failed(Mismatch::NotOfTowers { method: method.name(), base }))
        }
        _ => towers(models, found),
    }
}

/// The towers of `version` as one that reads both.
///
/// # Errors
/// It has but one, or they cannot be joined.
pub(super) fn towers(models: &Models, version: &ModelVersion) -> Result<Towers> {
    if version.manifest.text_tower.is_none() {
        return Err(failed(Mismatch::OneTower { base: version.reference() }));
    }
    let texts = models.registry().kept_within(version, TEXT_TOWER).map_err(failed)?;
    let mut joined = fuse(models, &texts, version)?;
    // It is the same model in another form.
    let same = &mut joined.version;
    (same.name, same.version) = (version.name.clone(), version.version.clone());
    same.manifest.fingerprint.clone_from(&version.manifest.fingerprint);
    same.manifest.source.clone_from(&version.manifest.source);
    Ok(Towers { images: version.clone(), texts, joined })
}

/// The two encoders as one version.
fn fuse(models: &Models, text: &ModelVersion, image: &ModelVersion) -> Result<Joined> {
    let output = GraphOutput { name: POOLED.to_owned(), kind: OutputKind::SentenceEmbedding };
    let joined = models.registry().join(text, image, output, |path| -> Result<(), Cause> {
        let open = |version: &ModelVersion| -> Result<_> {
            let encoder = open_encoder(&version.graph(), &version.manifest)?;
            let dimension = encoder.dimension;
            let (graph, weights, vectors) = encoder.into_vectors().map_err(failed)?;
            Ok((graph, weights, vectors, dimension))
        };
        let (texts, text_weights, text_vectors, text_width) = open(text)?;
        let (images, image_weights, image_vectors, image_width) = open(image)?;
        let weights = text_weights.within_part(TEXT).and(image_weights.within_part(IMAGE));
        let mut graph = join(texts, images)?;
        if let Some(graph) = &mut graph.graph {
            graph.output.clear();
        }
        let mut graph = GraphBuilder::from_model(graph);
        graph.scope("fusion");
        let parts = [(HAS_TEXT, TEXT, text_vectors), (HAS_IMAGE, IMAGE, image_vectors)].map(|(has, part, vectors)| {
            let has = graph.input(has, DataType::Float, &[Dim::Named("batch"), Dim::Fixed(1)]);
            let vectors = graph.value(&format!("{part}{vectors}"));
            let vectors = pooling::normalize(&mut graph, &vectors);
            graph.mul(&vectors, &has)
        });
        let both = graph.node("Concat", &parts.each_ref(), vec![attribute_int("axis", -1)]);
        graph.rename(&both, POOLED);
        let width = Dim::Fixed(text_width + image_width);
        graph.output(POOLED, DataType::Float, &[Dim::Named("batch"), width]);
        let mut model = graph.finish();
        weights.link(&mut model, path.parent().unwrap_or(path)).map_err(failed)?;
        Ok(onnx::file::write(model, path, &weights)?)
    });
    joined.map_err(|Cause(failure)| failure)
}

/// Any failure, of the registry's too.
struct Cause(Failure);

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<registry::Error> for Cause {
    fn from(error: registry::Error) -> Self {
        Self(failed(error))
    }
}

impl From<GraphError> for Cause {
    fn from(error: GraphError) -> Self {
        Self(failed(error))
    }
}
