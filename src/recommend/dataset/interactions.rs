//! A shop in memory: who took what when, and what there is to take.
//!
//! Takes the tables of a call, in the columns of `debut_udfs::recommender::columns`; gives users and items by number,
//! with every interaction in one order, whatever the order of the rows.

use arrow::array::{Array, AsArray, BinaryViewArray, StringArray, StringBuilder};
use arrow::compute::interleave;
use arrow::datatypes::{Float64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use debut_udfs::ids::IdType;
use debut_udfs::trainer::Table;
use sha2::{Digest, Sha256};

use super::ids::Ids;
use super::pictures::Pictures;
use crate::fetch::files::hexadecimal;
use crate::recommend::error::{Error, Result};

/// Items with what is known of them before anybody takes them.
#[derive(Debug, Clone)]
pub struct Items {
    /// Their ids, ascending.
    pub ids: Ids,
    /// Their texts; empty where there is none.
    pub texts: StringArray,
    /// The logarithms of their prices; NaN where none is known.
    pub prices: Vec<f32>,
    /// When they were first on sale, in microseconds since 1970, where it was said.
    pub launched: Vec<Option<i64>>,
    /// Their pictures as vectors; `None` where they are not known.
    pub pictures: Option<Pictures>,
}

/// Somebody took something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// When, in microseconds since 1970.
    pub time: i64,
    /// Who, by number; `None` for somebody unknown.
    pub user: Option<u32>,
    /// What, by number.
    pub item: u32,
    /// How much it counts; 1 where it was not said.
    pub weight: f32,
    /// How many units; 1 where it was not said.
    pub quantity: f32,
}

/// Takes a launch to be at `time`, unless it is known to be earlier.
pub(crate) fn earlier(launched: &mut Option<i64>, time: i64) {
    *launched = Some(launched.map_or(time, |launched| launched.min(time)));
}

/// Everything that a recommender learns from.
#[derive(Debug, Clone)]
pub struct InteractionDataset {
    /// The users who took anything.
    pub users: Ids,
    /// The catalogue.
    pub items: Items,
    /// What happened, by time, then by item and user.
    pub events: Vec<Event>,
    /// Sixteen hexadecimal digits over all of it.
    pub fingerprint: String,
    /// What was left out, for people; a sentence each.
    pub notes: Vec<String>,
}

impl Items {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the rows of `items`; gives them without vectors of pictures, and the pictures themselves, item by item, where the
    /// table has them.
    ///
    /// # Errors
    /// An id is NULL or stands there twice, or a price is not a positive number.
    pub fn read(function: &'static str, table: &Table) -> Result<(Self, Option<BinaryViewArray>)> {
        let mut rows: Vec<(usize, usize)> = Vec::with_capacity(table.rows());
        for (batch, rows_of) in table.batches.iter().enumerate() {
            rows.extend((0..rows_of.num_rows()).map(|row| (batch, row)));
        }
        let columns = Columns::of(table);
        let ids = columns.ids("item_id");
        if let Some(row) = rows.iter().position(|(batch, row)| ids[*batch].is_null(*row)) {
            return Err(Error::NullId { function, input: "items", column: "item_id", row });
        }
        let class = IdType::of(ids.first().map_or(&arrow::datatypes::DataType::Int64, |array| array.data_type()));
        let sorted = Ids::sorted(class.unwrap_or(IdType::Integer), &ids, &mut rows);
        if let Some(place) = sorted.repeated() {
            return Err(Error::RepeatedItem { function, item: sorted.get(place).to_string() });
        }
        let images = columns.images(&rows).map_err(|source| Error::Images { function, source })?;
        let mut texts = StringBuilder::new();
        let mut items = Self {
            ids: sorted,
            texts: StringArray::new_null(0),
            prices: Vec::new(),
            launched: Vec::new(),
            pictures: None,
        };
        for (batch, row) in rows {
            texts.append_value(columns.text(batch, row).unwrap_or_default());
            let price = match columns.number("price", batch, row) {
                Some(price) if price > 0.0 && price.is_finite() => price.ln() as f32,
                // Free and unpriced items are compared by everything else.
                _ => f32::NAN,
            };
            items.prices.push(price);
            items.launched.push(columns.time("launched_at", batch, row));
        }
        items.texts = texts.finish();
        Ok((items, images))
    }

    /// Whether an item has no text to go by.
    pub fn has_no_text(&self, item: usize) -> bool {
        self.texts.value(item).trim().is_empty()
    }
}

impl InteractionDataset {
    /// Reads the rows of `interactions` and `items`; gives the pictures of items beside them, as [`Items::read`] does. `now` is
    /// the time of day, in microseconds since 1970.
    ///
    /// # Errors
    /// As [`Items::read`]; a timestamp is later than `now`; or nothing is left.
    pub fn read(
        function: &'static str,
        interactions: &Table,
        items: &Table,
        now: i64,
    ) -> Result<(Self, Option<BinaryViewArray>)> {
        let (items, images) = Items::read(function, items)?;
        let columns = Columns::of(interactions);
        let (user_ids, item_ids) = (columns.ids("user_id"), columns.ids("item_id"));
        let mut known = Vec::new();
        for (batch, ids) in user_ids.iter().enumerate() {
            known.extend((0..ids.len()).filter(|row| ids.is_valid(*row)).map(|row| (batch, row)));
        }
        let class = user_ids.first().and_then(|array| IdType::of(array.data_type())).unwrap_or(IdType::Integer);
        let users = Ids::sorted(class, &user_ids, &mut known).distinct();
        let mut left_out = LeftOut::default();
        let mut events = Vec::with_capacity(interactions.rows());
        for (batch, (user_ids, item_ids)) in user_ids.iter().zip(&item_ids).enumerate() {
            for row in 0..user_ids.len() {
                let Some(time) = columns.time("timestamp", batch, row) else {
                    left_out.timeless += 1;
                    continue;
                };
                if time > now {
                    left_out.future += 1;
                    left_out.latest = left_out.latest.max(time);
                    continue;
                }
                let weight = columns.number("weight", batch, row).unwrap_or(1.0) as f32;
                if !(weight > 0.0 && weight.is_finite()) {
                    left_out.weightless += 1;
                    continue;
                }
                let Some(item) = items.ids.find_in(item_ids.as_ref(), row) else {
                    left_out.unlisted += 1;
                    continue;
                };
                let user = users.find_in(user_ids.as_ref(), row);
                let quantity = columns.quantity(batch, row);
                events.push(Event { time, user, item, weight, quantity });
            }
        }
        if left_out.future > 0 {
            return Err(Error::Future { function, rows: left_out.future, latest: left_out.latest });
        }
        events.sort_unstable_by(|a, b| {
            let key = |event: &Event| {
                let Event { time, user, item, weight, quantity } = event;
                (*time, *item, *user, weight.to_bits(), quantity.to_bits())
            };
            key(a).cmp(&key(b))
        });
        if events.iter().all(|event| event.user.is_none()) {
            return Err(Error::Empty { function, notes: left_out.notes().join("; ") });
        }
        let mut dataset = Self { users, items, events, fingerprint: String::new(), notes: left_out.notes() };
        let has_image = |item: usize| images.as_ref().is_some_and(|images| images.is_valid(item));
        let count = |lacks: &dyn Fn(usize) -> bool| (0..dataset.items.len()).filter(|item| lacks(*item)).count();
        let (without_text, bare) = (
            count(&|item| dataset.items.has_no_text(item) && has_image(item)),
            count(&|item| dataset.items.has_no_text(item) && !has_image(item)),
        );
        let without_image = if images.is_some() { count(&|item| !has_image(item)) - bare } else { 0 };
        let neither = if images.is_some() { "neither a text nor a picture" } else { "no text" };
        for (count, what) in [
            (bare, format!("items have {neither} and are known by their history alone")),
            (without_text, "items have no text and are known by their picture".to_owned()),
            (without_image, "items have no picture and are known by their text".to_owned()),
        ] {
            if count > 0 {
                dataset.notes.push(format!("{count} {what}"));
            }
        }
        dataset.fingerprint = dataset.digest(images.as_ref());
        Ok((dataset, images))
    }

    fn digest(&self, images: Option<&BinaryViewArray>) -> String {
        let mut hash = Sha256::new();
        let mut value = |value: &[u8]| {
            hash.update((value.len() as u64).to_le_bytes());
            hash.update(value);
        };
        for ids in [&self.users, &self.items.ids] {
            (0..ids.len()).for_each(|place| value(ids.get(place).to_string().as_bytes()));
        }
        for item in 0..self.items.len() {
            value(self.items.texts.value(item).as_bytes());
        }
        images.iter().flat_map(|images| images.iter()).for_each(|image| value(image.unwrap_or_default()));
        for (price, launched) in self.items.prices.iter().zip(&self.items.launched) {
            hash.update(price.to_bits().to_le_bytes());
            hash.update(launched.unwrap_or(i64::MIN).to_le_bytes());
        }
        for event in &self.events {
            hash.update(event.time.to_le_bytes());
            hash.update(event.user.map_or(u64::MAX, u64::from).to_le_bytes());
            hash.update(event.item.to_le_bytes());
            hash.update(event.weight.to_bits().to_le_bytes());
            hash.update(event.quantity.to_bits().to_le_bytes());
        }
        hexadecimal(&hash.finalize()[..8])
    }
}

/// Rows that say nothing.
#[derive(Debug, Default)]
struct LeftOut {
    timeless: usize,
    future: usize,
    latest: i64,
    weightless: usize,
    unlisted: usize,
}

impl LeftOut {
    fn notes(&self) -> Vec<String> {
        let parts = [
            (self.timeless, "interactions have no timestamp and were left out"),
            (self.weightless, "interactions have a weight that is not a positive number and were left out"),
            (self.unlisted, "interactions are with items that are not among the items and were left out"),
        ];
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
    }
}

/// A table's columns by role.
pub(crate) struct Columns<'a> {
    table: &'a Table,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(table: &'a Table) -> Self {
        Self { table }
    }

    /// The ids of each batch.
    pub(crate) fn ids(&self, name: &str) -> Vec<arrow::array::ArrayRef> {
        self.table.batches.iter().filter_map(|batch| batch.column_by_name(name).cloned()).collect()
    }

    /// A number; `None` where it is NULL or not there.
    pub(crate) fn number(&self, name: &str, batch: usize, row: usize) -> Option<f64> {
        let column = self.table.batches[batch].column_by_name(name)?.as_primitive_opt::<Float64Type>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    /// The units of an interaction: 1 where they were not said, 0 where they are no number that can be bought.
    pub(crate) fn quantity(&self, batch: usize, row: usize) -> f32 {
        let quantity = self.number("quantity", batch, row).unwrap_or(1.0) as f32;
        if quantity.is_finite() { quantity.max(0.0) } else { 0.0 }
    }

    /// A moment in microseconds; `None` where it is NULL or not there.
    pub(crate) fn time(&self, name: &str, batch: usize, row: usize) -> Option<i64> {
        let column = self.table.batches[batch].column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    /// The pictures of these rows, in their order; `None` where the table has none. Their bytes are not copied.
    fn images(&self, rows: &[(usize, usize)]) -> Result<Option<BinaryViewArray>, ArrowError> {
        let Ok(place) = self.table.schema.index_of("image") else { return Ok(None) };
        let columns = self.table.batches.iter().map(|batch| batch.column(place).as_ref()).collect::<Vec<_>>();
        if columns.is_empty() {
            return Ok(Some(BinaryViewArray::new_null(0)));
        }
        Ok(interleave(&columns, rows)?.as_binary_view_opt().cloned())
    }

    fn text(&self, batch: usize, row: usize) -> Option<&'a str> {
        let column = self.table.batches[batch].column_by_name("text")?.as_string_view_opt()?;
        column.is_valid(row).then(|| column.value(row))
    }
}
