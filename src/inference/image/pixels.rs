//! Many pictures: rows of bytes, decoded on all threads, into the float32 tensor of the runs that follow.
//!
//! Each picture is written once, by the thread that decoded it, where the session reads it.

use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use debut_udfs::model::{Input, Stats};
use ort::session::SessionInputValue;
use ort::value::{Outlet, Tensor as OwnedTensor, TensorElementType, TensorRef};
use rayon::prelude::*;

use super::augment::Change;
use super::picture::Picture;
use super::resize::{CHANNELS, Resized};
use crate::inference::Error;
use crate::inference::contain::contained;
use crate::inference::preprocessor::{ChunkSize, Prepared, Preprocessor};
use crate::inference::tensor::Tensor;
use crate::onnx::architectures::PIXELS;
use crate::registry::PREPROCESSOR;
use crate::registry::pictures::Steps;

/// Edge of the square of pixels that costs what a token costs, as in ViT-B/32: ten pictures of 224 x 224 are a run of 512.
const TOKEN_EDGE: usize = 32;

/// Bytes of pixels that are prepared together. With the chunks that run and wait it is three times as much.
const CHUNK_BYTES: usize = 32 << 20;

/// What a thread keeps of a large picture's memory.
const KEPT_BYTES: usize = 16 << 20;

/// What a thread decodes with.
#[derive(Debug, Default)]
struct Workshop {
    picture: Picture,
    resized: Resized,
}

thread_local! {
    static WORKSHOP: RefCell<Workshop> = RefCell::default();
}

/// Makes pixels of pictures, as the model's file says.
#[derive(Debug)]
pub(crate) struct ImagePreprocessor {
    steps: Steps,
    spare: Spare,
}

/// Buffers of chunks that have run.
type Spare = Arc<Mutex<Vec<Vec<f32>>>>;

impl ImagePreprocessor {
    /// The preprocessor of the model version in `folder`.
    ///
    /// # Errors
    /// Its file is gone, or asks for something else than is done here.
    pub(crate) fn open(model: &str, folder: &Path) -> Result<Self, Error> {
        let path = folder.join(PREPROCESSOR);
        let failed = |reason| Error::ImageProcessor { model: model.to_string(), path: path.clone(), reason };
        let json = fs::read(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::Vanished { model: model.to_string(), path: path.clone(), source },
            _ => failed(source.to_string()),
        })?;
        Ok(Self { steps: Steps::parse(&json).map_err(failed)?, spare: Spare::default() })
    }

    /// Channels, height and width of what comes out.
    pub(crate) fn shape(&self) -> [usize; 3] {
        [CHANNELS, self.steps.output[0], self.steps.output[1]]
    }

    /// The pixels of pictures, one behind the other, on the threads of the caller's pool. Each is changed by its place in
    /// `changes`, which may be empty.
    ///
    /// # Errors
    /// The first that is no picture, by its place, and why.
    pub(crate) fn pixels(&self, files: &[&[u8]], changes: &[Change]) -> Result<Vec<f32>, (usize, String)> {
        let mut values = vec![0.0; files.len() * self.numbers()];
        let made = values.par_chunks_exact_mut(self.numbers()).zip(files).enumerate().with_max_len(1);
        let failures = made.filter_map(|(place, (out, file))| {
            self.picture(file, changes.get(place), out).err().map(|reason| (place, reason))
        });
        match failures.min_by_key(|(place, _)| *place) {
            Some(failure) => Err(failure),
            None => Ok(values),
        }
    }

    /// Numbers of one picture.
    fn numbers(&self) -> usize {
        CHANNELS * self.steps.output[0] * self.steps.output[1]
    }

    fn tokens(&self) -> usize {
        let [height, width] = self.steps.output;
        height.div_ceil(TOKEN_EDGE) * width.div_ceil(TOKEN_EDGE)
    }

    /// Writes the pixels of one picture, changed if it is to be, to `out`.
    ///
    /// # Errors
    /// The reason why the bytes are no picture.
    fn picture(&self, bytes: &[u8], change: Option<&Change>, out: &mut [f32]) -> Result<(), String> {
        let work = |workshop: &RefCell<Workshop>| {
            // Taken out, so that what a panic leaves half done is thrown away.
            let mut shop = workshop.take();
            let made = shop.make(bytes, change, &self.steps, out);
            shop.picture.trim();
            shop.resized.trim(KEPT_BYTES);
            workshop.replace(shop);
            made
        };
        contained(|| WORKSHOP.with(work)).unwrap_or_else(|panic| Err(format!("its decoder failed: {panic}")))
    }
}

impl Workshop {
    fn make(&mut self, bytes: &[u8], change: Option<&Change>, steps: &Steps, out: &mut [f32]) -> Result<(), String> {
        self.picture.decode(bytes).map_err(|error| error.to_string())?;
        if let Some(change) = change {
            self.picture.change(change);
        }
        self.resized.resize(&self.picture, steps)?.write(steps, out);
        Ok(())
    }
}

impl Preprocessor for ImagePreprocessor {
    fn makes(&self) -> String {
        let [height, width] = self.steps.output;
        format!("{PIXELS}, float32 [batch, {CHANNELS}, {height}, {width}]")
    }

    fn tensor(&self, input: &Outlet) -> Option<Tensor> {
        let [height, width] = self.steps.output;
        let dtype = input.dtype();
        let shape = dtype.tensor_shape()?;
        // Exporters leave dimensions open (-1), or even all of them (rank 0).
        let made = [-1, CHANNELS as i64, height as i64, width as i64];
        let fits = shape.is_empty()
            || (shape.len() == made.len()
                && shape.iter().zip(made).skip(1).all(|(found, made)| *found < 0 || *found == made));
        // A graph whose only input has another name was imported for its four dimensions.
        let is_named = input.name() == PIXELS || !shape.is_empty();
        let is_pixels = is_named && dtype.tensor_type() == Some(TensorElementType::Float32);
        (is_pixels && fits).then(|| Tensor::given(input))
    }

    fn chunk(&self) -> ChunkSize {
        // The bytes of pictures are not copied: what a chunk takes are its pixels.
        ChunkSize { rows: (CHUNK_BYTES / (self.numbers() * size_of::<f32>())).max(1), bytes: usize::MAX }
    }

    fn prepare(
        &self,
        input: &Input,
        rows: Range<usize>,
        _prompt: &str,
        cancelled: &(dyn Fn() -> bool + Sync),
        stats: &Stats,
    ) -> Box<dyn Prepared> {
        Box::new(self.prepare_files(rows, |row| Some(input.row(row).0), cancelled, stats))
    }
}

impl ImagePreprocessor {
    /// The pictures of `rows` from their files; where `file` gives none, the pixels are zeros.
    pub(in crate::inference) fn prepare_files<'a>(
        &self,
        rows: Range<usize>,
        file: impl Fn(usize) -> Option<&'a [u8]> + Sync,
        cancelled: &(dyn Fn() -> bool + Sync),
        stats: &Stats,
    ) -> Pictures {
        let numbers = self.numbers();
        let mut values = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        values.resize(rows.len() * numbers, 0.0);
        let made: Vec<Result<(), String>> = values
            .par_chunks_exact_mut(numbers)
            .zip(rows.into_par_iter())
            .with_max_len(1)
            .map(|(out, row)| {
                if cancelled() {
                    return Err(String::new());
                }
                let Some(file) = file(row) else {
                    out.fill(0.0);
                    return Ok(());
                };
                let started = Instant::now();
                let made = self.picture(file, None, out);
                Stats::add_time(&stats.preprocessor_nanos, started.elapsed());
                made
            })
            .collect();
        let mut pictures = Pictures {
            shape: self.shape(),
            tokens: self.tokens(),
            values,
            places: Vec::with_capacity(made.len()),
            failures: Vec::new(),
            spare: Arc::clone(&self.spare),
        };
        pictures.close_gaps(made);
        pictures
    }
}

/// Consecutive pictures as a tensor; those that failed have no place in it.
#[derive(Debug)]
pub(in crate::inference) struct Pictures {
    /// Channels, height and width.
    shape: [usize; 3],
    tokens: usize,
    values: Vec<f32>,
    /// Of each row, which picture of the tensor it is.
    places: Vec<Option<usize>>,
    failures: Vec<(usize, String)>,
    spare: Spare,
}

impl Pictures {
    /// The pixels of rows that need not lie side by side, copied.
    ///
    /// # Errors
    /// One of them failed, or the runtime refuses the tensor.
    pub(in crate::inference) fn gather(&self, rows: &[u32]) -> Result<SessionInputValue<'static>, ort::Error> {
        let numbers: usize = self.shape.iter().product();
        let mut values = Vec::with_capacity(rows.len() * numbers);
        for row in rows {
            let place = self.places.get(*row as usize).copied().flatten();
            let place = place.ok_or_else(|| ort::Error::new("a row of a run has no picture"))?;
            values.extend_from_slice(&self.values[place * numbers..(place + 1) * numbers]);
        }
        let [channels, height, width] = self.shape;
        Ok(OwnedTensor::from_array(([rows.len(), channels, height, width], values))?.into())
    }

    /// Moves pictures up where those before them failed, so that those of a run lie side by side.
    fn close_gaps(&mut self, made: Vec<Result<(), String>>) {
        let numbers: usize = self.shape.iter().product();
        let mut next = 0;
        for (row, made) in made.into_iter().enumerate() {
            match made {
                Ok(()) => {
                    if next != row {
                        self.values.copy_within(row * numbers..(row + 1) * numbers, next * numbers);
                    }
                    self.places.push(Some(next));
                    next += 1;
                }
                Err(reason) => {
                    self.places.push(None);
                    self.failures.push((row, reason));
                }
            }
        }
    }
}

impl Prepared for Pictures {
    fn rows(&self) -> usize {
        self.places.len()
    }

    fn length(&self, row: usize) -> usize {
        if self.places[row].is_some() { self.tokens } else { 0 }
    }

    fn failures(&self) -> &[(usize, String)] {
        &self.failures
    }

    /// The batcher keeps rows of equal length in order, so that a run is one piece of the tensor.
    fn value<'a>(
        &'a self,
        rows: &[u32],
        _longest: usize,
        _tensor: &'a mut Tensor,
    ) -> Result<SessionInputValue<'a>, ort::Error> {
        let place = |row: Option<&u32>| row.and_then(|row| self.places.get(*row as usize).copied().flatten());
        let (Some(first), Some(last)) = (place(rows.first()), place(rows.last())) else {
            return Err(ort::Error::new("a run has no pictures"));
        };
        if last + 1 - first.min(last) != rows.len() {
            return Err(ort::Error::new("the pictures of a run are not side by side"));
        }
        let numbers: usize = self.shape.iter().product();
        let values = &self.values[first * numbers..(last + 1) * numbers];
        let [channels, height, width] = self.shape;
        Ok(TensorRef::from_array_view(([rows.len(), channels, height, width], values))?.into())
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        // As many as a job has in its pipeline.
        if spare.len() < 3 {
            spare.push(std::mem::take(&mut self.values));
        }
    }
}
