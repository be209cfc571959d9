//! Importing: takes a folder, an ONNX file or `hf:owner/name`, gives a published version.
//!
//! # Layout
//! - [`source`]: where the parts of a model are
//! - [`settings`]: what its JSON files say
//! - [`pictures`]: what they say of pictures
//! - [`towers`]: two towers under one name
//! - [`graph`](mod@graph): which output of a foreign graph is read
//! - [`options`]: what the user says otherwise
//!
//! Everything is read and checked before the first byte is written; what is written appears as a whole or not at all.

mod graph;
mod options;
mod pictures;
mod settings;
mod source;
pub(super) mod towers;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use debut_udfs::model::{Modality, Task};
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use super::manifest::{GraphOutput, Manifest, OutputKind, PictureSize, Pooling};
use super::name::Name;
use super::{Error, MANIFEST, ModelVersion, PREPROCESSOR, Registry, Result, TEXT_TOWER, TOKENIZER};
use crate::fetch::Progress;
use crate::fetch::files;
use crate::onnx::architectures::{self, BuiltModel, Reads, has_two_towers, reads_pictures};
use crate::onnx::file::read as read_graph;
use crate::onnx::weights::Weights;
use crate::onnx::{self, check_external_data};
pub use options::{ImportOptions, Tower};
use pictures::Pictures;
use settings::Settings;
use source::{Source, WeightsFormat};

/// Where the graph is put in the folder of a version. In a folder of its own, so that no file that a foreign graph names
/// can take the place of one of ours.
pub(super) const GRAPH: &str = "onnx/model.onnx";
/// Length limit of a model that names none, in tokens.
const DEFAULT_MAX_TOKENS: usize = 512;
/// Settings that are kept beside a version, so that other tools can open it.
pub(super) const KEPT: [&str; 4] = ["config.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"];
/// As [`KEPT`], but of the pipeline around the transformer.
pub(super) const KEPT_OF_PIPELINE: [&str; 2] = ["config_sentence_transformers.json", "sentence_bert_config.json"];

/// A model that was read and checked and can be written.
struct Prepared {
    manifest: Manifest,
    source: Source,
    graph: Graph,
    /// Of a model that reads pictures.
    pictures: Option<Pictures>,
    /// The tower for texts of a model of two towers.
    texts: Option<Box<Prepared>>,
}

/// What becomes the graph of a version.
enum Graph {
    /// Ours, from a checkpoint.
    Built { built: Box<BuiltModel>, weights: Weights },
    /// A foreign one, with the files that it names, relative to it.
    Foreign { path: PathBuf, data: Vec<String> },
}

impl Registry {
    /// Imports a model and makes it the version of `name` in use. A model that is there already with the same content is
    /// not imported again: its version is given, with a note through `progress`.
    ///
    /// # Errors
    /// The name or the source is no good, the model cannot be read or is not supported, or it cannot be written. Nothing
    /// is left behind then.
    pub fn import(
        &self,
        name: &str,
        source: &str,
        options: &ImportOptions,
        progress: &Progress<'_>,
    ) -> Result<ModelVersion> {
        let name = name.parse()?;
        let source = Source::open(source, options.offline, progress)?;
        self.import_source(&name, source, options, None, progress)
    }

    /// [`Self::import`] from a folder whose weights must have this SHA-256; `from` is what is written down as its source.
    pub(super) fn import_pinned(
        &self,
        name: &Name,
        folder: &str,
        from: &str,
        sha256: &str,
        progress: &Progress<'_>,
    ) -> Result<ModelVersion> {
        let options = ImportOptions::default();
        let source = Source { from: from.to_owned(), ..Source::open(folder, options.offline, progress)? };
        self.import_source(name, source, &options, Some(sha256), progress)
    }

    fn import_source(
        &self,
        name: &Name,
        source: Source,
        options: &ImportOptions,
        sha256: Option<&str>,
        progress: &Progress<'_>,
    ) -> Result<ModelVersion> {
        progress(&format!("reading '{}'", source.from));
        let prepared = prepare(source, options, progress)?;
        if let Some(expected) = sha256
            && prepared.manifest.weights_sha256 != expected
        {
            let found = prepared.manifest.weights_sha256;
            let path = match &prepared.graph {
                Graph::Built { weights, .. } => weights.files().first().cloned(),
                Graph::Foreign { path, .. } => Some(path.clone()),
            };
            let path = path.unwrap_or_else(|| prepared.source.transformer.clone());
            return Err(crate::fetch::Error::Checksum { path, expected: expected.to_owned(), found }.into());
        }

        let _lock = self.lock(name, progress)?;
        if let Some(model) = self.same(name, &prepared.manifest.fingerprint)? {
            progress(&format!("'{}' is {} already; nothing was imported", prepared.source.from, model.reference()));
            return Ok(model);
        }
        progress(&format!("writing model {name}"));
        let staging = self.stage(name)?;
        let fingerprint = prepared.manifest.fingerprint.clone();
        write(prepared, staging.path())?;
        let model = self.publish(name, staging, &fingerprint)?;
        progress(&format!("imported model {}", model.reference()));
        Ok(model)
    }

    /// A version with this content, made the one in use. The caller holds the lock.
    pub(super) fn same(&self, name: &Name, fingerprint: &str) -> Result<Option<ModelVersion>> {
        for version in self.versions(name)?.into_iter().rev() {
            if let Ok(model) = self.read(name, version)
                && model.manifest.fingerprint == fingerprint
            {
                self.set_current(name, version)?;
                return Ok(Some(model));
            }
        }
        Ok(None)
    }
}

/// Reads and checks everything.
fn prepare(source: Source, options: &ImportOptions, progress: &Progress<'_>) -> Result<Prepared> {
    let is_checkpoint = matches!(source.weights, WeightsFormat::Checkpoint);
    if is_checkpoint && options.tower.is_none() && Settings::read(&source)?.config.as_ref().is_some_and(has_two_towers)
    {
        return towers::prepare(source, options, progress);
    }
    prepare_tower(source, options, progress)
}

/// Reads and checks a model of one tower, or one tower of two.
fn prepare_tower(source: Source, options: &ImportOptions, progress: &Progress<'_>) -> Result<Prepared> {
    let mut settings = Settings::read(&source)?;
    let (graph, reading, pictures) = match &source.weights {
        WeightsFormat::Checkpoint => checkpoint(&source, &settings, options)?,
        WeightsFormat::Graph(path) => foreign(&source, &settings, path, options)?,
    };
    let preprocessing = match &pictures {
        Some(pictures) => pictures.file.clone(),
        None => {
            let tokenizer = read_file(&source.tokenizer()?)?;
            check_tokenizer(&source, &settings, &tokenizer)?;
            tokenizer
        }
    };

    let task = match reading.output.kind {
        OutputKind::Logits => Task::CrossEncoder,
        OutputKind::TokenEmbeddings | OutputKind::SentenceEmbedding => Task::Embedding,
    };
    if task == Task::CrossEncoder && options.pooling.is_some() {
        return Err(source.refuse("it is a cross-encoder, which has no pooling; leave that option out"));
    }
    if reading.output.kind == OutputKind::SentenceEmbedding && options.pooling.is_some() {
        return Err(source.refuse("its graph pools by itself; leave the option pooling out"));
    }
    let max_tokens = match (&pictures, options.max_tokens) {
        (None, _) => max_tokens(&source, &mut settings, reading.positions, options, progress)?,
        (Some(_), None) => 0,
        (Some(_), Some(_)) => return Err(source.refuse("it reads pictures; leave the option max_tokens out")),
    };
    if let Some(prompt) = &settings.default_prompt {
        progress(&format!(
            "note: sentence-transformers puts the prompt '{prompt}' in front of every text of this model where none is \
             named; Debut uses the prompts by name"
        ));
    }
    let weights_sha256 = weights_sha256(&source, &graph)?;
    let pooling = options.pooling.or(settings.pooling).unwrap_or(Pooling::Mean);
    let mut manifest = Manifest {
        task,
        modality: if pictures.is_some() { Modality::Bytes } else { Modality::Text },
        text_tower: None,
        dimension: reading.dimension,
        labels: Vec::new(),
        recommender: None,
        trained_until: None,
        image_model: None,
        training: None,
        architecture: settings.architecture().to_owned(),
        graph: GRAPH.to_owned(),
        output: reading.output,
        pooling,
        normalize: settings.normalize,
        needs_vnni: false,
        max_tokens,
        picture: pictures.as_ref().map(|it| PictureSize { height: it.size.height, width: it.size.width }),
        prompts: settings.prompts,
        source: source.from.clone(),
        weights_sha256,
        fingerprint: String::new(),
        created_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
    };
    let config = match &settings.config {
        Some(_) => read_file(&source.transformer.join("config.json"))?,
        None => Vec::new(),
    };
    manifest.fingerprint = fingerprint(&manifest, &preprocessing, &config);
    Ok(Prepared { manifest, source, graph, pictures, texts: None })
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::io("read", path))
}

/// What is read of a graph.
struct Reading {
    output: GraphOutput,
    /// Width of the vectors, 0 for logits.
    dimension: usize,
    /// Tokens that there are positions for, where that is known.
    positions: Option<usize>,
}

fn checkpoint(
    source: &Source,
    settings: &Settings,
    options: &ImportOptions,
) -> Result<(Graph, Reading, Option<Pictures>)> {
    let failed = |error| Error::Model { from: source.from.clone(), source: error };
    let config = settings.config.as_ref().ok_or_else(|| {
        source.refuse(format!(
            "there is no config.json in '{}', which says what the weights mean",
            source.transformer.display()
        ))
    })?;
    if options.tower.is_some() && !has_two_towers(config) {
        return Err(source.refuse("it has one tower only; leave the option tower out"));
    }
    let pictures = if reads_pictures(config) && options.tower != Some(Tower::Text) {
        Some(Pictures::read(source, Some(config))?)
    } else {
        source.tokenizer()?;
        None
    };
    let weights = Weights::open(&source.transformer).map_err(failed)?;
    let size = pictures.as_ref().map(|pictures| pictures.size);
    let built = architectures::build(config, &weights, size).map_err(failed)?;
    let (kind, dimension) = match built.output {
        architectures::OutputKind::TokenEmbeddings => (OutputKind::TokenEmbeddings, built.hidden_size),
        architectures::OutputKind::Embedding => (OutputKind::SentenceEmbedding, built.hidden_size),
        architectures::OutputKind::Logits => (OutputKind::Logits, 0),
    };
    let output = GraphOutput { name: built.output_name().to_owned(), kind };
    let positions = match built.reads {
        Reads::Tokens { longest } => Some(longest),
        Reads::Pixels(_) => None,
    };
    let reading = Reading { output, dimension, positions };
    Ok((Graph::Built { built: Box::new(built), weights }, reading, pictures))
}

fn foreign(
    source: &Source,
    settings: &Settings,
    path: &Path,
    options: &ImportOptions,
) -> Result<(Graph, Reading, Option<Pictures>)> {
    if options.tower.is_some() {
        return Err(source.refuse("it is a graph, which has one tower only; leave the option tower out"));
    }
    let failed = |error| Error::Model { from: source.from.clone(), source: error };
    let model = read_graph(path).map_err(failed)?;
    let data = check_external_data(&model, folder_of(path)).map_err(failed)?;
    let pictures = if graph::reads_pixels(&model) {
        Some(Pictures::read(source, settings.config.as_ref())?)
    } else {
        source.tokenizer()?;
        None
    };
    let size = pictures.as_ref().map(|pictures| pictures.size);
    let reading = graph::read(source, &model, settings, size, options.pooling.is_some())?;
    let dimension = match reading.output.kind {
        OutputKind::Logits => 0,
        OutputKind::TokenEmbeddings | OutputKind::SentenceEmbedding => {
            let widths = ["hidden_size", "dim", "d_model", "n_embd", "num_features"];
            reading.width.or_else(|| settings.size(&widths)).ok_or_else(|| {
                source.refuse("neither its graph nor config.json says how wide its vectors are (hidden_size)")
            })?
        }
    };
    if dimension == 0 && reading.output.kind != OutputKind::Logits {
        return Err(source.refuse("its vectors have no dimensions"));
    }
    let reading = Reading { output: reading.output, dimension, positions: settings.positions() };
    Ok((Graph::Foreign { path: path.to_path_buf(), data }, reading, pictures))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Checks that the tokenizer can be read and gives no token that the model has no vector for.
fn check_tokenizer(source: &Source, settings: &Settings, bytes: &[u8]) -> Result<()> {
    let path = source.transformer.join(TOKENIZER);
    let tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| Error::Tokenizer {
        from: source.from.clone(),
        path: path.clone(),
        source: error,
    })?;
    let Some(size) = settings.size(&["vocab_size"]) else { return Ok(()) };
    let vocabulary = tokenizer.get_vocab(true);
    match vocabulary.iter().max_by_key(|(_, id)| **id) {
        Some((token, id)) if *id as usize >= size => Err(source.wrong(
            &path,
            format!("belongs to another model: its token '{token}' is number {id}, and the model has {size} tokens"),
        )),
        Some(_) => Ok(()),
        None => Err(source.wrong(&path, "has no tokens")),
    }
}

/// The length limit: what the user says, else the lowest that the files name.
fn max_tokens(
    source: &Source,
    settings: &mut Settings,
    positions: Option<usize>,
    options: &ImportOptions,
    progress: &Progress<'_>,
) -> Result<usize> {
    if let Some(tokens) = options.max_tokens {
        return match positions {
            Some(positions) if tokens > positions => {
                Err(source.refuse(format!("max_tokens is {tokens}, and the model has positions for {positions}")))
            }
            _ => Ok(tokens),
        };
    }
    settings.limit(positions);
    Ok(settings.max_tokens.unwrap_or_else(|| {
        progress(&format!("note: no file says how long an input may be; it is cut at {DEFAULT_MAX_TOKENS} tokens"));
        DEFAULT_MAX_TOKENS
    }))
}

/// The SHA-256 of the weights: of the file where there is one, else of the files' names and hashes.
fn weights_sha256(source: &Source, graph: &Graph) -> Result<String> {
    let weights = match graph {
        Graph::Built { weights, .. } => weights.files().to_vec(),
        Graph::Foreign { path, data } => {
            let data = data.iter().map(|location| folder_of(path).join(location));
            std::iter::once(path.clone()).chain(data).collect()
        }
    };
    sha256_of(&weights, &[&source.transformer])
}

/// The SHA-256 of a file; of several, that of their hashes and of their names within the first of `folders` that they are in.
pub(super) fn sha256_of(files: &[PathBuf], folders: &[&Path]) -> Result<String> {
    if let [file] = files {
        return Ok(files::sha256(file)?);
    }
    let mut hasher = Sha256::new();
    for path in files {
        let within = folders.iter().find_map(|folder| path.strip_prefix(folder).ok());
        let name = within.unwrap_or(path).to_string_lossy().into_owned();
        add(&mut hasher, name.as_bytes());
        add(&mut hasher, files::sha256(path)?.as_bytes());
    }
    Ok(files::hexadecimal(&hasher.finalize()))
}

/// Sixteen digits over everything that determines a result.
pub(super) fn fingerprint(manifest: &Manifest, tokenizer: &[u8], config: &[u8]) -> String {
    let mut hasher = Sha256::new();
    add(&mut hasher, manifest.weights_sha256.as_bytes());
    add(&mut hasher, tokenizer);
    add(&mut hasher, config);
    add(&mut hasher, format!("{:?}", manifest.output).as_bytes());
    add(&mut hasher, format!("{:?}", manifest.pooling).as_bytes());
    add(&mut hasher, manifest.max_tokens.to_string().as_bytes());
    for (name, prompt) in &manifest.prompts {
        add(&mut hasher, name.as_bytes());
        add(&mut hasher, prompt.as_bytes());
    }
    for label in &manifest.labels {
        add(&mut hasher, label.as_bytes());
    }
    files::hexadecimal(&hasher.finalize()[..8])
}

/// Adds a part with its length, so that no two lists of parts look the same.
fn add(hasher: &mut Sha256, part: &[u8]) {
    hasher.update((part.len() as u64).to_le_bytes());
    hasher.update(part);
}

/// Writes everything into an empty folder.
fn write(prepared: Prepared, folder: &Path) -> Result<()> {
    let Prepared { manifest, source, graph, pictures, texts } = prepared;
    let failed = |error: onnx::Error| Error::Model { from: source.from.clone(), source: error };
    let target = folder.join(GRAPH);
    files::create_folder(folder_of(&target))?;
    match graph {
        Graph::Built { built, weights } => built.write(&weights, &target).map_err(failed)?,
        Graph::Foreign { path, data } => {
            files::copy(&path, &target)?;
            for location in data {
                files::copy(&folder_of(&path).join(&location), &folder_of(&target).join(&location))?;
            }
        }
    }
    // What was written is what will be read: a file that was cut short on the way is found now.
    let model = read_graph(&target).map_err(failed)?;
    check_external_data(&model, folder_of(&target)).map_err(failed)?;

    match pictures {
        Some(pictures) => files::write(&folder.join(PREPROCESSOR), &pictures.file)?,
        None => files::copy(&source.transformer.join(TOKENIZER), &folder.join(TOKENIZER))?,
    }
    let kept = KEPT.iter().map(|name| (source.transformer.join(name), name));
    for (path, name) in kept.chain(KEPT_OF_PIPELINE.iter().map(|name| (source.root.join(name), name))) {
        if path.is_file() {
            files::copy(&path, &folder.join(name))?;
        }
    }
    if let Some(texts) = texts {
        let folder = folder.join(TEXT_TOWER);
        files::create_folder(&folder)?;
        write(*texts, &folder)?;
    }
    write_manifest(&manifest, folder)
}

/// Writes the manifest into the folder of a version.
pub(super) fn write_manifest(manifest: &Manifest, folder: &Path) -> Result<()> {
    let path = folder.join(MANIFEST);
    let mut text =
        serde_json::to_vec_pretty(manifest).map_err(|error| Error::io("write", &path)(std::io::Error::other(error)))?;
    text.push(b'\n');
    Ok(files::write(&path, &text)?)
}
