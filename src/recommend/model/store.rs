//! A recommender on disk: numbers in `recommender/numbers.safetensors`, everything else in `recommender/recommender.json`, in the
//! folder of a version.
//!
//! Written by `trainer` into a version that nobody sees yet, read by `service`. What can be derived in a moment is not kept.
//!
//! The file says in which format it is, and by name which component each column of the score normalization is of and
//! what each column of the users' activity features is. Columns are found by these names and never by their place: a component that came
//! later is not read out of another one's column, and a name that is not known here is refused.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, StringArray};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, View};
use safetensors::{SafeTensors, serialize_to_file};
use serde::{Deserialize, Serialize};

use super::blend::{ActivityFeatures, Blend};
use super::recommender::Recommender;
use super::validation::{BoostPoint, HoldoutRecord};
use crate::linalg::dense::Matrix;
use crate::linalg::ridge::{DenseRidge, Ridge};
use crate::linalg::sparse::Csr;
use crate::recommend::components::parts::ease::ItemItem;
use crate::recommend::components::parts::tfidf::TfIdf;
use crate::recommend::components::scores::ScoreNormalization;
use crate::recommend::components::{
    Component, Components, ItemBatch, PriceScale, Settings, Tower, UserRepresentations,
};
use crate::recommend::dataset::ids::Ids;
use crate::recommend::dataset::interactions::Items;
use crate::recommend::error::{Error, Result};

/// The folder within a version's.
pub const FOLDER: &str = "recommender";
/// The folder within that one for the encoder as it was.
pub const ENCODER: &str = "encoder";
const NUMBERS: &str = "numbers.safetensors";
const REST: &str = "recommender.json";

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 2;
/// What each column of [`ActivityFeatures`] is, in their order; the coefficients of a probability stand in the same order, behind that
/// of the blended score.
const ACTIVITY: [&str; 3] = ["items", "days_idle", "recent_items"];

/// The format, and the names of columns. Read before anything else, so that it can be read whatever the rest is like.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Not there in files that were written before it was.
    format: Option<u32>,
    /// The component of each column of the score normalization.
    #[serde(default)]
    components: Vec<String>,
    /// What each column of the activity features is.
    #[serde(default)]
    activity: Vec<String>,
}

/// What is no number.
#[derive(Serialize, Deserialize)]
struct Rest {
    users: Ids,
    items: Ids,
    texts: Vec<String>,
    launched: Vec<Option<i64>>,
    settings: Settings,
    words: TfIdf,
    price_scale: PriceScale,
    new: Blend,
    old: Blend,
    boost: f64,
    boosts: Vec<BoostPoint>,
    until: i64,
    held_out: Option<HoldoutRecord>,
}

/// The file: the header, then the rest.
#[derive(Serialize)]
struct File<'a> {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    rest: &'a Rest,
}

/// Writes a recommender into the folder of a version; gives the files, relative to it.
///
/// # Errors
/// The file system's.
pub fn write(recommender: &Recommender, version: &Path) -> Result<Vec<PathBuf>> {
    let folder = version.join(FOLDER);
    fs::create_dir_all(&folder).map_err(file("create", &folder))?;
    let Recommender { components, representations, .. } = recommender;
    let mut numbers = Numbers::default();
    numbers.u32s("sold", recommender.sold.iter().map(|sold| u32::from(*sold)));
    numbers.u32s("known", recommender.known.iter().copied());
    numbers.floats("prices", &recommender.items.prices);
    numbers.matrix("profiles", &recommender.profiles);
    numbers.csr("components/terms", &components.terms);
    numbers.floats("components/center", &components.center);
    numbers.matrix("components/meanings", &components.embeddings);
    numbers.matrix("components/item_factors", &components.item_factors);
    numbers.ridge(
        "components/factors_of_words",
        &components.factors_of_words.weights,
        &components.factors_of_words.intercept,
    );
    let embedding = &components.factors_of_embedding;
    numbers.ridge("components/factors_of_embedding", &embedding.weights, &embedding.intercept);
    match &components.item_item {
        ItemItem::Dense(weights) => numbers.matrix("components/item_item", weights),
        ItemItem::Sparse(weights) => numbers.csr("components/item_item_sparse", weights),
    }
    if let Some(tower) = &components.tower {
        numbers.floats("tower/center", &tower.center);
        numbers.matrix("tower/projection", &tower.projection);
        numbers.ridge("tower/users", &tower.users.weights, &tower.users.intercept);
    }
    numbers.ridge("components/popularity", &components.popularity.weights, &components.popularity.intercept);
    numbers.floats("components/prices", &components.prices);
    numbers.floats("components/buyers", &components.buyers);
    numbers.csr("tastes/history", &representations.history);
    numbers.matrix("tastes/factors", &representations.factors);
    numbers.matrix("tastes/meanings", &representations.embeddings);
    if let Some(tower) = &representations.tower {
        numbers.matrix("tastes/tower", tower);
    }
    numbers.floats("tastes/prices", &representations.prices);
    numbers.matrix("habits", &recommender.activity.0);
    numbers.matrix("usual/mean", &recommender.normalization.mean);
    numbers.matrix("usual/scale", &recommender.normalization.scale);
    numbers.item_batch("reference", &recommender.reference);
    numbers.item_batch("catalogue", &recommender.catalogue);
    let path = folder.join(NUMBERS);
    serialize_to_file(numbers.0, None, &path).map_err(|error| Error::File {
        action: "write",
        path: path.clone(),
        source: std::io::Error::other(error),
    })?;

    let rest = Rest {
        users: recommender.users.clone(),
        items: recommender.items.ids.clone(),
        texts: recommender.items.texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect(),
        launched: recommender.items.launched.clone(),
        settings: components.settings.clone(),
        words: components.words.clone(),
        price_scale: components.price_scale,
        new: recommender.new.clone(),
        old: recommender.old.clone(),
        boost: recommender.boost,
        boosts: recommender.boosts.clone(),
        until: recommender.until,
        held_out: recommender.held_out.clone(),
    };
    let header = Header {
        format: Some(FORMAT),
        components: Component::ALL.map(|component| component.name().to_owned()).into(),
        activity: ACTIVITY.map(str::to_owned).into(),
    };
    let path = folder.join(REST);
    let text = serde_json::to_vec(&File { header, rest: &rest })
        .map_err(|error| Error::Damaged { path: path.clone(), reason: error.to_string() })?;
    fs::write(&path, text).map_err(file("write", &path))?;
    for path in [folder.join(NUMBERS), path, folder] {
        fs::File::open(&path).and_then(|opened| opened.sync_all()).map_err(file("write", &path))?;
    }
    Ok([NUMBERS, REST].map(|name| Path::new(FOLDER).join(name)).into())
}

/// Reads the recommender in the folder of a version.
///
/// # Errors
/// A file is missing or damaged.
pub fn read(version: &Path) -> Result<Recommender> {
    let folder = version.join(FOLDER);
    let path = folder.join(REST);
    let text = fs::read(&path).map_err(file("read", &path))?;
    let header: Header = serde_json::from_slice(&text).map_err(|error| damaged(&path, error))?;
    let columns = header.columns().map_err(|reason| Error::OtherFormat { path: path.clone(), reason })?;
    let rest: Rest = serde_json::from_slice(&text).map_err(|error| damaged(&path, error))?;
    let used = rest.new.components.iter().chain(&rest.old.components);
    if let Some(missing) = used.into_iter().find(|component| !columns.contains(component)) {
        return Err(damaged(&path, format!("it ranks by {}, of which it has no column", missing.name())));
    }
    let path = folder.join(NUMBERS);
    let opened = fs::File::open(&path).map_err(file("read", &path))?;
    // SAFETY: a published version is never written to, only removed; a map outlives the removal of its file.
    let map = unsafe { Mmap::map(&opened) }.map_err(file("read", &path))?;
    let tensors = SafeTensors::deserialize(&map).map_err(|error| damaged(&path, error))?;
    let stored = Stored { tensors, path: path.clone() };
    let tower = match stored.has("tower/projection") {
        true => Some(Tower {
            center: stored.floats("tower/center")?,
            projection: stored.matrix("tower/projection")?,
            users: DenseRidge {
                weights: stored.matrix("tower/users/weights")?,
                intercept: stored.floats("tower/users/intercept")?,
            },
        }),
        false => None,
    };
    let components = Components {
        settings: rest.settings,
        words: rest.words,
        terms: stored.csr("components/terms")?,
        center: stored.floats("components/center")?,
        embeddings: stored.matrix("components/meanings")?,
        item_factors: Arc::new(stored.matrix("components/item_factors")?),
        factors_of_words: Ridge {
            weights: stored.matrix("components/factors_of_words/weights")?,
            intercept: stored.floats("components/factors_of_words/intercept")?,
        },
        factors_of_embedding: DenseRidge {
            weights: stored.matrix("components/factors_of_embedding/weights")?,
            intercept: stored.floats("components/factors_of_embedding/intercept")?,
        },
        item_item: match stored.has("components/item_item") {
            true => ItemItem::Dense(stored.matrix("components/item_item")?),
            false => ItemItem::Sparse(stored.csr("components/item_item_sparse")?),
        },
        tower,
        popularity: Ridge {
            weights: stored.matrix("components/popularity/weights")?,
            intercept: stored.floats("components/popularity/intercept")?,
        },
        price_scale: rest.price_scale,
        prices: stored.floats("components/prices")?,
        buyers: stored.floats("components/buyers")?,
    };
    let representations = UserRepresentations {
        history: stored.csr("tastes/history")?,
        factors: stored.matrix("tastes/factors")?,
        embeddings: stored.matrix("tastes/meanings")?,
        tower: if stored.has("tastes/tower") { Some(stored.matrix("tastes/tower")?) } else { None },
        prices: stored.floats("tastes/prices")?,
    };
    let items = Items {
        ids: rest.items,
        texts: StringArray::from(rest.texts),
        prices: stored.floats("prices")?,
        launched: rest.launched,
    };
    let recommender = Recommender {
        sold: stored.u32s("sold")?.into_iter().map(|sold| sold != 0).collect(),
        known: stored.u32s("known")?,
        profiles: stored.matrix("profiles")?,
        activity: ActivityFeatures(stored.matrix("habits")?),
        normalization: ScoreNormalization {
            mean: stored.normalization("usual/mean", &columns)?,
            scale: stored.normalization("usual/scale", &columns)?,
        },
        reference: stored.item_batch("reference")?,
        catalogue: stored.item_batch("catalogue")?,
        users: rest.users,
        items,
        components,
        representations,
        new: rest.new,
        old: rest.old,
        boost: rest.boost,
        boosts: rest.boosts,
        until: rest.until,
        held_out: rest.held_out,
    };
    let (users, known) = (recommender.users.len(), recommender.known.len());
    let fits = recommender.representations.history.rows() == users
        && recommender.representations.history.columns() == known
        && recommender.normalization.mean.rows() == users
        && recommender.activity.0.rows() == users
        && recommender.activity.0.columns() == ACTIVITY.len()
        && recommender.components.terms.rows() == known
        && recommender.catalogue.len() == known
        && recommender.items.texts.len() == recommender.items.ids.len();
    if fits { Ok(recommender) } else { Err(Error::Damaged { path, reason: "its parts are of different sizes".into() }) }
}

impl Header {
    /// The component of each column of the score normalization, or why the file cannot be read.
    fn columns(&self) -> Result<Vec<Component>, String> {
        match self.format {
            Some(FORMAT) => {}
            Some(other) => return Err(format!("its format is {other}, and this version of Debut reads {FORMAT}")),
            None => return Err("it says no format: it was written before files did".into()),
        }
        if self.activity != ACTIVITY {
            return Err(format!("its habits of users are {}, not {}", self.activity.join(", "), ACTIVITY.join(", ")));
        }
        let unknown = |name: &String| format!("it has a component '{name}', which this version of Debut does not know");
        self.components.iter().map(|name| Component::of_name(name).ok_or_else(|| unknown(name))).collect()
    }
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::File { action, path, source }
}

fn damaged(path: &Path, reason: impl ToString) -> Error {
    Error::Damaged { path: path.to_path_buf(), reason: reason.to_string() }
}

/// Numbers by name, to be written.
#[derive(Default)]
struct Numbers(BTreeMap<String, Tensor>);

struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl Numbers {
    fn floats(&mut self, name: &str, values: &[f32]) {
        self.shaped(name, vec![values.len()], values);
    }

    fn matrix(&mut self, name: &str, matrix: &Matrix) {
        self.shaped(name, vec![matrix.rows(), matrix.columns()], matrix.values());
    }

    fn shaped(&mut self, name: &str, shape: Vec<usize>, values: &[f32]) {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.0.insert(name.to_owned(), Tensor { dtype: Dtype::F32, shape, bytes });
    }

    fn u32s(&mut self, name: &str, values: impl Iterator<Item = u32>) {
        let bytes = values.flat_map(u32::to_le_bytes).collect::<Vec<_>>();
        self.0.insert(name.to_owned(), Tensor { dtype: Dtype::U32, shape: vec![bytes.len() / 4], bytes });
    }

    fn u64s(&mut self, name: &str, values: impl Iterator<Item = u64>) {
        let bytes = values.flat_map(u64::to_le_bytes).collect::<Vec<_>>();
        self.0.insert(name.to_owned(), Tensor { dtype: Dtype::U64, shape: vec![bytes.len() / 8], bytes });
    }

    fn csr(&mut self, name: &str, matrix: &Csr) {
        let (starts, indices, values) = matrix.parts();
        self.u64s(&format!("{name}/columns"), [matrix.columns() as u64].into_iter());
        self.u64s(&format!("{name}/starts"), starts.iter().map(|start| *start as u64));
        self.u32s(&format!("{name}/indices"), indices.iter().copied());
        self.floats(&format!("{name}/values"), values);
    }

    fn ridge(&mut self, name: &str, weights: &Matrix, intercept: &[f32]) {
        self.matrix(&format!("{name}/weights"), weights);
        self.floats(&format!("{name}/intercept"), intercept);
    }

    fn item_batch(&mut self, name: &str, item_batch: &ItemBatch) {
        let known = item_batch.known.iter().map(|known| known.unwrap_or(u32::MAX));
        self.u32s(&format!("{name}/known"), known);
        self.csr(&format!("{name}/terms"), &item_batch.terms);
        self.matrix(&format!("{name}/meanings"), &item_batch.embeddings);
        self.csr(&format!("{name}/word_neighbours"), &item_batch.word_neighbours);
        self.csr(&format!("{name}/neighbours"), &item_batch.neighbours);
        self.floats(&format!("{name}/nearness"), &item_batch.nearness);
        self.matrix(&format!("{name}/word_factors"), &item_batch.word_factors);
        self.matrix(&format!("{name}/embedding_factors"), &item_batch.embedding_factors);
        if let Some(tower) = &item_batch.tower {
            self.matrix(&format!("{name}/tower"), tower);
        }
        self.floats(&format!("{name}/popularity"), &item_batch.popularity);
        self.floats(&format!("{name}/prices"), &item_batch.prices);
    }
}

/// Numbers by name, to be read.
struct Stored<'a> {
    tensors: SafeTensors<'a>,
    path: PathBuf,
}

impl<'a> Stored<'a> {
    fn has(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    fn chunks<const N: usize>(&self, name: &str, dtype: Dtype) -> Result<(Vec<usize>, &'a [[u8; N]])> {
        let tensor = self.tensors.tensor(name).map_err(|error| damaged(&self.path, format!("{name}: {error}")))?;
        if tensor.dtype() != dtype {
            return Err(damaged(&self.path, format!("{name} holds {:?}", tensor.dtype())));
        }
        Ok((tensor.shape().to_vec(), tensor.data().as_chunks::<N>().0))
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.chunks::<4>(name, Dtype::F32)?.1.iter().copied().map(f32::from_le_bytes).collect())
    }

    fn u32s(&self, name: &str) -> Result<Vec<u32>> {
        Ok(self.chunks::<4>(name, Dtype::U32)?.1.iter().copied().map(u32::from_le_bytes).collect())
    }

    fn u64s(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.chunks::<8>(name, Dtype::U64)?.1.iter().map(|x| u64::from_le_bytes(*x) as usize).collect())
    }

    fn matrix(&self, name: &str) -> Result<Matrix> {
        let (shape, values) = self.chunks::<4>(name, Dtype::F32)?;
        match shape[..] {
            [rows, columns] => Ok(Matrix::new(rows, columns, values.iter().copied().map(f32::from_le_bytes).collect())),
            _ => Err(damaged(&self.path, format!("{name} is no matrix"))),
        }
    }

    /// Users x all components from users x these: by name, and 0 for the others, which rank nothing.
    fn normalization(&self, name: &str, columns: &[Component]) -> Result<Matrix> {
        let stored = self.matrix(name)?;
        if stored.columns() != columns.len() {
            let reason = format!("{name} has {} columns, and {} names", stored.columns(), columns.len());
            return Err(damaged(&self.path, reason));
        }
        let mut all = Matrix::zeros(stored.rows(), Component::ALL.len());
        for row in 0..stored.rows() {
            let own = all.row_mut(row);
            columns.iter().zip(stored.row(row)).for_each(|(component, value)| own[component.place()] = *value);
        }
        Ok(all)
    }

    fn csr(&self, name: &str) -> Result<Csr> {
        let columns = self.u64s(&format!("{name}/columns"))?.first().copied().unwrap_or_default();
        let starts = self.u64s(&format!("{name}/starts"))?;
        let (indices, values) = (self.u32s(&format!("{name}/indices"))?, self.floats(&format!("{name}/values"))?);
        Csr::from_parts(columns, starts, indices, values)
            .ok_or_else(|| damaged(&self.path, format!("{name} is no sparse matrix")))
    }

    fn item_batch(&self, name: &str) -> Result<ItemBatch> {
        let of = |part: &str| format!("{name}/{part}");
        Ok(ItemBatch {
            known: self.u32s(&of("known"))?.into_iter().map(|known| (known != u32::MAX).then_some(known)).collect(),
            terms: self.csr(&of("terms"))?,
            embeddings: self.matrix(&of("meanings"))?,
            word_neighbours: self.csr(&of("word_neighbours"))?,
            neighbours: self.csr(&of("neighbours"))?,
            nearness: self.floats(&of("nearness"))?,
            word_factors: self.matrix(&of("word_factors"))?,
            embedding_factors: self.matrix(&of("embedding_factors"))?,
            tower: if self.has(&of("tower")) { Some(self.matrix(&of("tower"))?) } else { None },
            popularity: self.floats(&of("popularity"))?,
            prices: self.floats(&of("prices"))?,
        })
    }
}
