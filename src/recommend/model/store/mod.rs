//! A recommender on disk: numbers in `recommender/numbers.safetensors`, everything else in `recommender/recommender.json`, in the
//! folder of a version.
//!
//! What can be derived in a moment is not kept. The file says in which format it is and which components it has, by
//! name (`header`); each has a section of its own.

mod header;

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{Array, StringArray};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::header::{ACTIVITY, Header, NamedBlend, all_columns, kept_columns};
use super::blend::ActivityFeatures;
use super::recommender::Recommender;
use super::validation::{BoostPoint, HoldoutRecord};
use crate::linalg::dense::Matrix;
use crate::recommend::components::normalization::ScoreNormalization;
use crate::recommend::components::{ComponentList, Components, Listed, standard};
use crate::recommend::dataset::ids::Ids;
use crate::recommend::dataset::interactions::Items;
use crate::recommend::dataset::pictures::Pictures;
use crate::recommend::error::{Error, Result};
use crate::recommend::forecast::past_launches::PastLaunches;
use crate::recommend::storage::{Stored, StoredSection, Writer};

/// The folder within a version's.
pub const FOLDER: &str = "recommender";
/// The folder within that one for the encoder as it was.
pub const ENCODER: &str = "encoder";
/// The folder beside it for the model of pictures.
pub const IMAGE_MODEL: &str = "image_model";
/// Pictures of items without a history: those of the others are with the components.
const PICTURES: &str = "pictures";
/// What launches did before: not in files that were written before it was kept.
const PAST_LAUNCHES: &str = "past_launches";
const RECENT_BUYERS: &str = "recent_buyers";
const NUMBERS: &str = "numbers.safetensors";
const REST: &str = "recommender.json";

/// What is no number.
#[derive(Serialize, Deserialize)]
struct Rest {
    users: Ids,
    items: Ids,
    texts: Vec<String>,
    launched: Vec<Option<i64>>,
    new: NamedBlend,
    old: NamedBlend,
    boost: f64,
    boosts: Vec<BoostPoint>,
    until: i64,
    held_out: Option<HoldoutRecord>,
    /// Of parts and components.
    values: Map<String, Value>,
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
    let components = &recommender.components;
    let present = components.present().map(|(listed, _)| listed).collect::<Vec<_>>();
    let missing = |name| Error::NotKept { reason: format!("it ranks by {name}, which was not fitted") };
    let (new, old) = (NamedBlend::new(&recommender.new, &present), NamedBlend::new(&recommender.old, &present));
    let (new, old) = (new.map_err(missing)?, old.map_err(missing)?);

    let mut writer = Writer::default();
    components.save(&mut writer.section("components"))?;
    components.save_users(&recommender.representations, &mut writer.section("users"));
    components.save_items(&recommender.reference, &mut writer.section("reference"));
    components.save_items(&recommender.catalogue, &mut writer.section("catalogue"));
    let mut root = writer.section("");
    root.u32s("sold", recommender.sold.iter().map(|sold| u32::from(*sold)));
    root.u32s("known", recommender.known.iter().copied());
    root.floats("prices", &recommender.items.prices);
    root.u32s(RECENT_BUYERS, recommender.recent_buyers.iter().copied());
    if let Some(launches) = &recommender.past_launches {
        launches.save(&mut root.section(PAST_LAUNCHES))?;
    }
    if let Some((pictured, vectors)) = recommender.items.pictures.as_ref().map(Pictures::parts) {
        let mut section = root.section(PICTURES);
        section.u32s("items", pictured.into_iter());
        section.matrix("vectors", vectors);
    }
    root.matrix("profiles", &recommender.profiles);
    root.matrix("activity", &recommender.activity.0);
    root.matrix("normalization/mean", &kept_columns(&recommender.normalization.mean, &present));
    root.matrix("normalization/scale", &kept_columns(&recommender.normalization.scale, &present));
    let (tensors, values) = writer.into_parts();

    let rest = Rest {
        users: recommender.users.clone(),
        items: recommender.items.ids.clone(),
        texts: recommender.items.texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect(),
        launched: recommender.items.launched.clone(),
        new,
        old,
        boost: recommender.boost,
        boosts: recommender.boosts.clone(),
        until: recommender.until,
        held_out: recommender.held_out.clone(),
        values,
    };
    let folder = version.join(FOLDER);
    fs::create_dir_all(&folder).map_err(file("create", &folder))?;
    tensors.write(&folder.join(NUMBERS))?;
    let path = folder.join(REST);
    let text = serde_json::to_vec(&File { header: Header::new(&present), rest: &rest })
        .map_err(|error| Error::NotKept { reason: error.to_string() })?;
    fs::write(&path, text).map_err(file("write", &path))?;
    for path in [folder.join(NUMBERS), path, folder] {
        fs::File::open(&path).and_then(|opened| opened.sync_all()).map_err(file("write", &path))?;
    }
    Ok([NUMBERS, REST].map(|name| Path::new(FOLDER).join(name)).into())
}

/// Reads the recommender in the folder of a version.
///
/// # Errors
/// A file is missing, damaged or of another format, or has a component that is not known.
pub fn read(version: &Path) -> Result<Recommender> {
    read_with(version, &standard())
}

/// Reads a recommender whose components are of this list.
pub(crate) fn read_with(version: &Path, list: &ComponentList) -> Result<Recommender> {
    let folder = version.join(FOLDER);
    let path = folder.join(REST);
    let text = fs::read(&path).map_err(file("read", &path))?;
    let header: Header = serde_json::from_slice(&text).map_err(|error| damaged(&path, error))?;
    let present = header.components(list).map_err(|reason| Error::OtherFormat { path: path.clone(), reason })?;
    let rest: Rest = serde_json::from_slice(&text).map_err(|error| damaged(&path, error))?;
    let missing = |name: String| damaged(&path, format!("it ranks by {name}, of which it has no column"));
    let new = rest.new.blend(&present).map_err(missing)?;
    let old = rest.old.blend(&present).map_err(missing)?;

    let path = folder.join(NUMBERS);
    let opened = fs::File::open(&path).map_err(file("read", &path))?;
    // SAFETY: a published version is never written to, only removed; a map outlives the removal of its file.
    let map = unsafe { Mmap::map(&opened) }.map_err(file("read", &path))?;
    let stored = Stored::new(&map, rest.values, &path)?;
    let root = stored.section("");
    let components = Components::load(list, &present, &stored.section("components"))?;
    let pictures = root.section(PICTURES);
    let pictures = if pictures.has("vectors") {
        let (pictured, vectors) = (pictures.u32s("items")?, pictures.matrix("vectors")?);
        if pictured.len() != vectors.rows() {
            return Err(pictures.damaged("vectors", format_args!("has no {} rows", pictured.len())));
        }
        Some(Pictures::new(rest.items.len(), &pictured, vectors))
    } else {
        None
    };
    let launches = root.section(PAST_LAUNCHES);
    let past_launches = if launches.has("windows") { Some(PastLaunches::load(&launches)?) } else { None };
    let known = root.u32s("known")?;
    let recent_buyers = if root.has(RECENT_BUYERS) { root.u32s(RECENT_BUYERS)? } else { vec![0; known.len()] };
    let items = Items {
        ids: rest.items,
        texts: StringArray::from(rest.texts),
        prices: root.floats("prices")?,
        launched: rest.launched,
        pictures,
    };
    let recommender = Recommender {
        sold: root.u32s("sold")?.into_iter().map(|sold| sold != 0).collect(),
        known,
        recent_buyers,
        past_launches,
        profiles: root.matrix("profiles")?,
        activity: ActivityFeatures(root.matrix("activity")?),
        normalization: ScoreNormalization {
            mean: columns(&root, "normalization/mean", &present, list)?,
            scale: columns(&root, "normalization/scale", &present, list)?,
        },
        representations: components.load_users(&stored.section("users"))?,
        reference: components.load_items(&stored.section("reference"))?,
        catalogue: components.load_items(&stored.section("catalogue"))?,
        users: rest.users,
        items,
        components,
        new,
        old,
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
        && recommender.components.items() == known
        && recommender.catalogue.len() == known
        && recommender.recent_buyers.len() == known
        && recommender.items.texts.len() == recommender.items.ids.len();
    if fits { Ok(recommender) } else { Err(Error::Damaged { path, reason: "its parts are of different sizes".into() }) }
}

/// Users x all components of the list, from users x those that are there.
fn columns(root: &StoredSection<'_>, name: &str, present: &[Listed], list: &ComponentList) -> Result<Matrix> {
    let kept = root.matrix(name)?;
    if kept.columns() != present.len() {
        let reason = format_args!("has {} columns, and {} names", kept.columns(), present.len());
        return Err(root.damaged(name, reason));
    }
    Ok(all_columns(&kept, present, list))
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::File { action, path, source }
}

fn damaged(path: &Path, reason: impl ToString) -> Error {
    Error::Damaged { path: path.to_path_buf(), reason: reason.to_string() }
}
