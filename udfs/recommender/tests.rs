//! Columns by role: found, cast, refused.
#![allow(clippy::unwrap_used, reason = "tests")]

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::logical_expr::logical_plan::builder::LogicalTableSource;

use super::*;
use crate::model::{Modality, Task};

use std::sync::Arc;

const LAYOUTS: [Layout; 2] = [LOGGED, ITEMS];

fn plan(columns: &[(&str, DataType)]) -> LogicalPlan {
    let fields: Vec<_> = columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect();
    let source = Arc::new(LogicalTableSource::new(Arc::new(Schema::new(fields))));
    LogicalPlanBuilder::scan("t", source, None).unwrap().build().unwrap()
}

fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

fn model() -> ModelInfo {
    ModelInfo {
        name: "shop".into(),
        version: "1".into(),
        task: Task::Recommender,
        modality: Modality::Text,
        text_tower: None,
        dimension: 4,
        labels: vec![],
        ids: Some(Ids { user: IdType::Integer, item: IdType::Text }),
        trained_until: None,
        image_model: None,
        max_tokens: 8,
        fingerprint: String::new(),
        prompts: BTreeMap::new(),
    }
}

fn read_with(
    interactions: &[(&str, DataType)],
    items: &[(&str, DataType)],
    columns: &[(&str, &str)],
    with_model: bool,
) -> Result<Inputs<SchemaRef>> {
    let inputs =
        Inputs { interactions: Some(plan(interactions)), items: Some(plan(items)), ..Inputs::<LogicalPlan>::default() };
    let columns = columns.iter().map(|(role, column)| ((*role).to_string(), (*column).to_string())).collect();
    let model = model();
    let ids = model.ids.unwrap();
    let read = read("evaluate", &inputs, &LAYOUTS, &columns, with_model.then_some((&model, ids)))?;
    Ok(read.map(|plan| Arc::clone(plan.schema().inner())))
}

fn interactions() -> Vec<(&'static str, DataType)> {
    let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::LargeUtf8));
    vec![("user_id", DataType::UInt16), ("item_id", text), ("timestamp", moment())]
}

fn items() -> Vec<(&'static str, DataType)> {
    vec![("item_id", DataType::Utf8View), ("text", DataType::Utf8)]
}

fn types(schema: &Schema) -> Vec<(&str, DataType)> {
    schema.fields().iter().map(|field| (field.name().as_str(), field.data_type().clone())).collect()
}

#[test]
fn columns_come_in_one_type_each() {
    let mut given = interactions();
    given.extend([("LABEL", DataType::Boolean), ("weight", DataType::Decimal128(9, 2)), ("other", DataType::Binary)]);
    let mut with_price = items();
    with_price.extend([("cost", DataType::Float32), ("launched_at", DataType::Date32)]);
    let read = read_with(&given, &with_price, &[("price", "cost")], true).unwrap();
    let moment = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(
        types(&read.interactions.unwrap()),
        [
            ("user_id", DataType::Int64),
            ("item_id", DataType::Utf8),
            ("timestamp", moment.clone()),
            ("weight", DataType::Float64),
            ("label", DataType::Float64)
        ]
    );
    assert_eq!(
        types(&read.items.unwrap()),
        [
            ("item_id", DataType::Utf8),
            ("text", DataType::Utf8View),
            ("price", DataType::Float64),
            ("launched_at", moment)
        ]
    );
}

#[test]
fn mistakes_name_function_column_types_and_cure() {
    let with = |place: usize, name: &'static str, data_type: DataType| {
        let mut columns = interactions();
        columns[place] = (name, data_type);
        columns
    };
    for (interactions, columns, parts) in [
        (
            with(0, "user_id", DataType::Utf8),
            &[][..],
            &[
                "column 'user_id' of interactions is Utf8",
                "user ids of model 'shop@1' are integer (Int64)",
                "CAST(user_id AS BIGINT) AS user_id",
            ][..],
        ),
        (
            with(1, "sku", DataType::Int8),
            &[("item_id", "sku")],
            &[
                "column 'sku' of interactions is Int8",
                "item ids of model 'shop@1' are text (Utf8)",
                "CAST(sku AS VARCHAR) AS sku",
            ],
        ),
        (with(0, "user_id", DataType::Float64), &[], &["is Float64", "CAST(user_id AS BIGINT)"]),
        (
            with(0, "customer", DataType::Int64),
            &[],
            &["interactions has no column 'user_id'", "It has customer, item_id", "columns => 'user_id=...'"],
        ),
        (with(0, "users_id", DataType::Int64), &[], &["did you mean 'users_id'? It has"]),
        (with(2, "timestamp", DataType::Int64), &[], &["timestamp", "to_timestamp_seconds(timestamp) AS timestamp"]),
        (with(2, "timestamp", DataType::Utf8), &[], &["a timestamp or a date", "CAST(timestamp AS TIMESTAMP)"]),
        (self::interactions(), &[("price", "cost")], &["'cost' for 'price', which no sub-query here has"]),
        (self::interactions(), &[("text", "title")], &["items has no column 'title'"]),
    ] {
        let mut items = items();
        if columns.iter().any(|(role, _)| *role == "item_id") {
            items[0].0 = "sku";
        }
        let message = read_with(&interactions, &items, columns, true).unwrap_err().to_string();
        assert!(message.contains("evaluate: "), "{message}");
        parts.iter().for_each(|part| assert!(message.contains(part), "{part} in {message}"));
    }
}

#[test]
fn without_a_model_ids_are_what_they_are_and_alike() {
    let read = read_with(&interactions(), &items(), &[], false).unwrap();
    assert_eq!(read.items.unwrap().field(0).data_type(), &DataType::Utf8);
    let numbered = [("item_id", DataType::Int32), ("text", DataType::Utf8)];
    let message = read_with(&interactions(), &numbered, &[], false).unwrap_err().to_string();
    assert!(message.contains("item_id is Utf8 in interactions and Int64 in items"), "{message}");
    let strange = [("item_id", DataType::Float32), ("text", DataType::Utf8)];
    let message = read_with(&interactions(), &strange, &[], false).unwrap_err().to_string();
    assert!(message.contains("column 'item_id' of items is Float32, and ids are integers or text"), "{message}");
}

#[test]
fn pictures_are_read_by_those_who_know_them() {
    let image = |data_type: DataType| {
        let inputs = Inputs {
            items: Some(plan(&[("item_id", DataType::Utf8), ("image", data_type)])),
            ..Inputs::<LogicalPlan>::default()
        };
        let model = ModelInfo { image_model: Some("pictures@1".into()), ..model() };
        let ids = model.ids.unwrap();
        let read = read("recommend", &inputs, &[PICTURED_ITEMS], &BTreeMap::new(), Some((&model, ids)))?;
        Result::<_>::Ok(Arc::clone(read.items.unwrap().schema().inner()))
    };
    let dictionary = DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::LargeBinary));
    for bytes in [DataType::Binary, DataType::LargeBinary, DataType::FixedSizeBinary(9), dictionary, DataType::Null] {
        let wanted = [("item_id", DataType::Utf8), ("image", DataType::BinaryView)];
        assert_eq!(types(&image(bytes.clone()).unwrap()), wanted, "{bytes}");
    }
    let message = image(DataType::Utf8).unwrap_err().to_string();
    assert!(
        message.contains("column 'image' of items is Utf8") && message.contains("read_file(image) AS image"),
        "{message}"
    );
    // What was trained without pictures does not look at them, and needs a text.
    let mut with_image = items();
    with_image.push(("image", DataType::Utf8));
    let read = read_with(&interactions(), &with_image, &[], true).unwrap();
    assert_eq!(read.items.unwrap().fields().len(), 2);
}
