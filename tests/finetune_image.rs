//! `finetune` on pictures the user's way: SQL in, a version out, on small encoders with random weights.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use debut::engine::Session;
use debut::home::Home;
use futures::StreamExt;
use image::{ImageFormat, Rgb, RgbImage};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

mod support;

use support::pictures::home_with_networks as home;
use support::sql::{floats, try_rows as rows};

const COLORS: [(&str, [u8; 3]); 3] = [("red", [200, 40, 40]), ("green", [40, 190, 60]), ("blue", [50, 60, 210])];

/// A session with the table `pictures`: id, image, kind and size. A picture is a square of a colour on grey, with noise. In
/// `damaged`, that of 40 is cut off.
fn session(home: &TempDir) -> Session {
    let session = support::session_at(Home::at(home.path()));
    let mut random = StdRng::seed_from_u64(1);
    let (mut files, mut kinds, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for picture in 0..72 {
        let (kind, color) = COLORS[picture % 3];
        let size = random.random_range(10..30u32);
        let drawn = RgbImage::from_fn(40, 36, |x, y| {
            let base = if x < size && y < size { color } else { [128; 3] };
            Rgb(base.map(|level| level.saturating_add_signed(random.random_range(-20..20))))
        });
        let mut file = Cursor::new(Vec::new());
        drawn.write_to(&mut file, ImageFormat::Png).unwrap();
        files.push(file.into_inner());
        kinds.push(kind);
        sizes.push(f64::from(size));
    }
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("image", DataType::Binary, true),
        Field::new("kind", DataType::Utf8, true),
        Field::new("size", DataType::Float64, true),
    ]);
    let schema = Arc::new(schema);
    let (kinds, sizes) = (Arc::new(StringArray::from(kinds)), Arc::new(Float64Array::from(sizes)));
    for table in ["pictures", "damaged"] {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(0..72)),
            Arc::new(BinaryArray::from_iter_values(&files)),
            Arc::clone(&kinds) as ArrayRef,
            Arc::clone(&sizes) as ArrayRef,
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        session.context().register_batch(table, batch).unwrap();
        files[40].truncate(60);
    }
    session
}

/// The last value of a column of texts.
fn last(batch: &RecordBatch, column: &str) -> Option<String> {
    let texts = cast(batch.column_by_name(column).unwrap(), &DataType::Utf8).unwrap();
    texts.as_string::<i32>().iter().last().flatten().map(str::to_owned)
}

/// The labels of a version.
fn labels(home: &TempDir, model: &str, version: u32) -> String {
    let manifest = home.path().join(format!("models/models--{model}/snapshots/{version}/debut.json"));
    let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    manifest["labels"].as_array().unwrap().iter().map(|label| label.as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

const KINDS: &str = "objective => 'classification', examples => (SELECT image, kind AS label FROM pictures)";

/// The page of a run shows the pictures that the model finds hard, and nothing of those that it was trained on.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_shows_the_pictures_with_the_highest_losses() {
    let home = home(&["resnet-basic"]);
    let session = session(&home);
    let sql = format!(
        "CALL finetune(model => 'm', base => 'resnet-basic', method => 'head', {KINDS}, epochs => 1,
                       validation => 0.2)"
    );
    rows(&session, &sql).await.unwrap();
    let runs = std::fs::read_dir(home.path().join("runs")).unwrap().map(|entry| entry.unwrap().path());
    let run = runs.filter(|path| path.is_dir()).last().unwrap();
    let page = home.path().join("run.html");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_debut"));
    command.arg("report").arg(run.file_name().unwrap()).arg("-o").arg(&page).env("DEBUT_HOME", home.path());
    assert!(command.output().unwrap().status.success());
    let html = std::fs::read_to_string(page).unwrap();
    let pictures = html.split("src=\"data:image/jpeg;base64,").skip(1).map(|rest| rest.split('"').next().unwrap());
    let pictures = pictures.map(|file| BASE64_STANDARD.decode(file).unwrap()).collect::<Vec<_>>();
    assert_eq!(pictures.len(), 12);
    for file in pictures {
        let picture = image::load_from_memory_with_format(&file, ImageFormat::Jpeg).unwrap();
        assert_eq!((picture.width(), picture.height()), (40, 36));
    }
    assert_eq!(html.matches("<dt>predicted</dt>").count(), 12);
    assert!(html.contains("accuracy, higher is better"), "{html}");
}

/// The share of the pictures of which a model tells the right colour.
async fn accuracy(session: &Session, model: &str) -> f64 {
    let sql = format!(
        "SELECT avg(CASE WHEN classify(image, '{model}')['label'] = kind THEN 1.0 ELSE 0.0 END) AS right FROM pictures"
    );
    floats(&rows(session, &sql).await.unwrap(), "right")[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_that_applies_learns_from_pictures() {
    let home = home(&["resnet-basic", "timm-efficientnet-lite", "vit"]);
    let session = session(&home);
    for (base, method) in [
        ("resnet-basic", "head"),
        ("resnet-basic", "bitfit"),
        ("resnet-basic", "top_layers"),
        ("resnet-basic", "full"),
        ("timm-efficientnet-lite", "full"),
        ("vit", "full"),
        ("vit", "lora"),
    ] {
        let augment = if method == "full" { ", augment => 'full'" } else { "" };
        let sql = format!(
            "CALL finetune(model => '{base}-{method}', base => '{base}', method => '{method}', {KINDS}, epochs => 6,
                           batch_size => 8, learning_rate => 0.003, validation => 0.2, publish => 'always'{augment})"
        );
        let curve = rows(&session, &sql).await.unwrap_or_else(|error| panic!("{base}, {method}: {error}"));
        let losses = floats(&curve, "train_loss");
        assert!(losses[5] < losses[0], "{base}, {method}: {losses:?}");
        let model = format!("{base}-{method}");
        assert_eq!(last(&curve, "version"), Some(format!("{model}@1")));
        let right = accuracy(&session, &model).await;
        assert!(right > 0.75, "{base}, {method}: {right} of the labels are right");
    }
    // What comes out reads pictures as its base does, and tells the labels of its training.
    let sql = "SELECT task, modality, picture_size FROM debut.models WHERE name = 'resnet-basic-full'";
    let said = rows(&session, sql).await.unwrap();
    let said = ["task", "modality", "picture_size"].map(|name| last(&said, name).unwrap());
    assert_eq!(said, ["classification", "bytes", "32 x 32"]);
    assert_eq!(labels(&home, "resnet-basic-full", 1), "blue green red");
    let sql = format!("CALL finetune(model => 'm', base => 'resnet-basic', method => 'lora', {KINDS})");
    let error = rows(&session, &sql).await.unwrap_err();
    assert!(error.contains("method 'lora' finds nothing to train") && error.contains("'full'"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_learned_from_pictures() {
    let home = home(&["resnet-basic"]);
    let session = session(&home);
    let sql = "CALL finetune(model => 'size', base => 'resnet-basic', method => 'full', objective => 'regression',
                             examples => (SELECT image, size AS label FROM pictures), epochs => 8, batch_size => 8,
                             learning_rate => 0.002, validation => 0.2, augment => 'none', publish => 'always')";
    rows(&session, sql).await.unwrap();
    let sql = "SELECT corr(predict(image, 'size'), size) AS correlation FROM pictures";
    let correlation = floats(&rows(&session, sql).await.unwrap(), "correlation")[0];
    assert!(correlation > 0.8, "{correlation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_the_same_whether_its_encoder_is_run_or_not() {
    let home = home(&["resnet-basic"]);
    let session = session(&home);
    let sql = format!(
        "CALL finetune(model => 'head', base => 'resnet-basic', method => 'head', {KINDS}, epochs => 3, batch_size => 8,
                       validation => 0.25, publish => 'always')"
    );
    let curve = rows(&session, &sql).await.unwrap();
    let best = floats(&curve, "metric").into_iter().skip(1).fold(0.0, f64::max);
    // The version that was published runs its encoder, and the steps read vectors that were kept.
    let again = format!(
        "CALL finetune(model => 'head', base => 'head', method => 'head', {KINDS}, epochs => 1, batch_size => 8,
                       validation => 0.25, publish => 'never')"
    );
    let measured = floats(&rows(&session, &again).await.unwrap(), "metric")[0];
    assert!((measured - best).abs() < 1e-9, "{measured} and {best}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_interrupted_goes_on_with_the_same_pictures() {
    let sql = format!(
        "CALL finetune(model => 'm', base => 'resnet-basic', method => 'full', {KINDS}, epochs => 6, batch_size => 8,
                       learning_rate => 0.001, augment => 'full', dropout => 0.1, publish => 'always', seed => 5)"
    );
    let whole = home(&["resnet-basic"]);
    let expected = rows(&session(&whole), &sql).await.unwrap();

    let home = home(&["resnet-basic"]);
    let session = session(&home);
    let statement = session.statements(&sql).unwrap().remove(0);
    let mut stream = session.run(statement).await.unwrap().execute_stream().await.unwrap();
    for _ in 0..3 {
        stream.next().await.unwrap().unwrap();
    }
    drop(stream);
    let found = rows(&session, &sql).await.unwrap();
    let message = cast(found.column_by_name("message").unwrap(), &DataType::Utf8).unwrap();
    assert!(message.as_string::<i32>().value(0).contains("the run resumes where it stopped"));
    for column in ["epoch", "train_loss", "validation_loss", "metric"] {
        assert_eq!(floats(&found, column), floats(&expected, column), "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classifier_of_pictures_goes_on_with_new_ones() {
    let home = home(&["resnet-basic"]);
    let session = session(&home);
    let common = "model => 'm', objective => 'classification', method => 'head', publish => 'always', batch_size => 8";
    let first = format!(
        "CALL finetune({common}, base => 'resnet-basic', examples => (SELECT image, kind AS label, id AS timestamp
                       FROM pictures WHERE id < 48 AND kind <> 'blue'), split => 'time')"
    );
    rows(&session, &first).await.unwrap();
    let second = format!(
        "CALL finetune({common}, since => 'last', examples => (SELECT image, kind AS label, id AS timestamp FROM pictures))"
    );
    let curve = rows(&session, &second).await.unwrap();
    assert_eq!(last(&curve, "version").as_deref(), Some("m@2"));
    assert_eq!((labels(&home, "m", 1), labels(&home, "m", 2)), ("green red".to_owned(), "blue green red".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_cannot_be_decoded_is_named_before_the_first_step() {
    let home = home(&["resnet-basic"]);
    let session = session(&home);
    let text = "CASE WHEN id = 40 THEN arrow_cast('a text', 'Binary') ELSE image END AS image";
    for (method, image, table) in [("full", "image", "damaged"), ("head", text, "pictures")] {
        let sql = format!(
            "CALL finetune(model => 'm', base => 'resnet-basic', method => '{method}', objective => 'classification',
                           examples => (SELECT {image}, kind AS label FROM {table} ORDER BY id))"
        );
        let error = rows(&session, &sql).await.unwrap_err();
        assert!(error.contains("the picture in row 41 of 'examples' cannot be trained on"), "{error}");
    }
    let steps = rows(&session, "SELECT count(*) AS steps FROM debut.training_runs").await.unwrap();
    assert_eq!(steps.column(0).as_primitive::<Int64Type>().value(0), 0);
    // NULLs are left out, and the first row says so.
    let sql = "CALL finetune(model => 'm', base => 'resnet-basic', method => 'head', objective => 'classification',
               examples => (SELECT CASE WHEN id < 3 THEN NULL ELSE image END AS image, kind AS label FROM pictures))";
    let curve = rows(&session, sql).await.unwrap();
    let message = cast(curve.column_by_name("message").unwrap(), &DataType::Utf8).unwrap();
    let message = message.as_string::<i32>().value(0).to_owned();
    assert!(message.contains("3 of 72 examples have no picture"), "{message}");
}
