//! `finetune` on texts with pictures the user's way: SQL in, one version that reads both out, on small encoders with random
//! weights.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Int64Type, Schema};
use debut::engine::Session;
use debut::home::Home;
use debut::inference::Models;
use debut_udfs::config::{BatchTokens, DebutConfig};
use debut_udfs::model::{Input, Job, ModelProvider};
use image::{ImageFormat, Rgb, RgbImage};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

mod support;

use support::pictures::home_with_networks as home;
use support::sql::{floats, try_rows as rows};

const COLORS: [(&str, [u8; 3]); 3] = [("red", [200, 40, 40]), ("green", [40, 190, 60]), ("blue", [50, 60, 210])];
const THINGS: [&str; 2] = ["a cup of tea", "shoe"];
const ROWS: usize = 72;

/// A session with the table `goods`: id, title, image, kind and price. The title says what it is and the picture its colour: only
/// both together tell `kind`. In `damaged`, the picture of 40 is cut off.
fn session(home: &TempDir) -> Session {
    let session = support::session_at(Home::at(home.path()));
    let mut random = StdRng::seed_from_u64(1);
    let (mut files, mut titles, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..ROWS {
        let ((name, color), thing) = (COLORS[row % 3], THINGS[row / 3 % 2]);
        let drawn = RgbImage::from_fn(36, 36, |_, _| {
            Rgb(color.map(|level: u8| level.saturating_add_signed(random.random_range(-20..20))))
        });
        let mut file = Cursor::new(Vec::new());
        drawn.write_to(&mut file, ImageFormat::Png).unwrap();
        files.push(file.into_inner());
        titles.push(format!("{thing} {}", row % 7));
        kinds.push(format!("{name} {thing}"));
    }
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("title", DataType::Utf8, true),
        Field::new("image", DataType::Binary, true),
        Field::new("kind", DataType::Utf8, true),
    ]));
    for table in ["goods", "damaged"] {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(0..ROWS as i64)),
            Arc::new(StringArray::from(titles.clone())),
            Arc::new(BinaryArray::from_iter_values(&files)),
            Arc::new(StringArray::from(kinds.clone())),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        session.context().register_batch(table, batch).unwrap();
        files[40].truncate(60);
    }
    session
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let texts = cast(batch.column_by_name(column).unwrap(), &DataType::Utf8).unwrap();
    texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

/// The vectors of a column.
fn vectors(batch: &RecordBatch, column: &str) -> Vec<Vec<f64>> {
    let list = batch.column_by_name(column).unwrap().as_fixed_size_list();
    let vector =
        |row: usize| list.value(row).as_primitive::<Float32Type>().values().iter().map(|x| f64::from(*x)).collect();
    (0..list.len()).map(vector).collect()
}

const BOTH: &str = "objective => 'classification', examples => (SELECT title AS text, image, kind AS label FROM goods)";

/// The share of the goods of which a call tells the right kind.
async fn accuracy(session: &Session, call: &str) -> f64 {
    let sql = format!("SELECT avg(({call}['label'] = kind)::INT) AS right FROM goods");
    floats(&rows(session, &sql).await.unwrap(), "right")[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_that_applies_learns_from_both_what_neither_tells_alone() {
    let home = home(&["resnet-basic", "vit"]);
    let session = session(&home);
    for (image_base, method) in [
        ("resnet-basic", "head"),
        ("resnet-basic", "bitfit"),
        ("resnet-basic", "top_layers"),
        ("resnet-basic", "full"),
        ("resnet-basic", "lora"),
        ("vit", "lora"),
        ("vit", "adapter"),
        ("vit", "prefix"),
    ] {
        let model = format!("{image_base}-{method}");
        let sizes = match method {
            "adapter" => ", width => 8",
            "top_layers" => ", layers => 1",
            _ => "",
        };
        let sql = format!(
            "CALL finetune(model => '{model}', base => 'small', image_base => '{image_base}', method => '{method}', {BOTH},
                           epochs => 6, batch_size => 8, learning_rate => 0.003, validation => 0.2, publish => 'always'{sizes})"
        );
        let curve = rows(&session, &sql).await.unwrap_or_else(|error| panic!("{image_base}, {method}: {error}"));
        let losses = floats(&curve, "train_loss");
        assert!(losses[5] < losses[0], "{image_base}, {method}: {losses:?}");
        assert_eq!(texts(&curve, "version").last().unwrap().as_deref(), Some(format!("{model}@1").as_str()));
        let right = accuracy(&session, &format!("classify(title, image, '{model}')")).await;
        assert!(right > 0.75, "{image_base}, {method}: {right} of the labels are right");
        // The picture tells one of three colours, the title one of two things.
        let alone = accuracy(&session, &format!("classify(title, NULL, '{model}')")).await;
        assert!(alone < 0.5, "{image_base}, {method}: {alone} by titles alone");
        let alone = accuracy(&session, &format!("classify(NULL, image, '{model}')")).await;
        assert!((0.3..0.7).contains(&alone), "{image_base}, {method}: {alone} by pictures alone");
    }
    let sql = "SELECT task, modality, picture_size FROM debut.models WHERE name = 'vit-lora'";
    let said = rows(&session, sql).await.unwrap();
    let said = ["task", "modality", "picture_size"].map(|name| texts(&said, name)[0].clone().unwrap());
    assert_eq!(said[..2], ["classification", "text and bytes"]);
    // Nothing is left of what training started from.
    let names = std::fs::read_dir(home.path().join("models")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.map(|name| name.into_string().unwrap()).all(|name| name.starts_with("models--")));
}

/// A number of the graph of a version, by its initializer.
fn initializer(home: &TempDir, model: &str, name: &str) -> Vec<f64> {
    let path = home.path().join(format!("models/models--{model}/snapshots/1/onnx/model.onnx"));
    let graph = debut::onnx::file::read(&path).unwrap().graph.unwrap();
    let tensor = graph.initializer.iter().find(|tensor| tensor.name() == name).unwrap();
    let bytes = tensor.raw_data.clone().unwrap();
    bytes.chunks_exact(4).map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().unwrap()))).collect()
}

/// The vector scaled to length one; zeros stay zeros.
fn unit(vector: &[f64]) -> Vec<f64> {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
    vector.iter().map(|x| x / norm).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_graph_gives_what_two_encoders_and_a_head_give() {
    let home = home(&["resnet-basic"]);
    let session = session(&home);
    let sql = format!(
        "CALL finetune(model => 'm', base => 'small', image_base => 'resnet-basic', method => 'head', {BOTH}, epochs => 2,
                       validation => 0.2, publish => 'always')"
    );
    rows(&session, &sql).await.unwrap();
    let sql =
        "SELECT title, image, embed(title, 'small') AS t, embed(image, 'resnet-basic') AS i FROM goods ORDER BY id";
    let found = rows(&session, sql).await.unwrap();
    let (weight, bias) =
        (initializer(&home, "m", "classification/weight"), initializer(&home, "m", "classification/bias"));

    // Of three rows, one has no picture and one no text.
    let titles = texts(&found, "title").into_iter().enumerate().map(|(row, title)| title.filter(|_| row % 3 != 1));
    let titles: Vec<Option<String>> = titles.collect();
    let files = found.column_by_name("image").unwrap().as_binary::<i32>();
    let files: Vec<Option<&[u8]>> = (0..ROWS).map(|row| (row % 3 != 2).then(|| files.value(row))).collect();
    let model = Models::new(Home::at(home.path())).load("m", &DebutConfig::default()).unwrap();
    let run = async |rows: &[usize]| {
        let input = Input::TextAndBytes(
            StringArray::from_iter(rows.iter().map(|row| titles[*row].clone())),
            BinaryViewArray::from_iter(rows.iter().map(|row| files[*row])),
        );
        let job = Job { input, prompt: String::new(), max_batch_tokens: BatchTokens::Most(64), stats: Arc::default() };
        model.run(job).await.unwrap().values
    };
    let logits = run(&(0..ROWS).collect::<Vec<_>>()).await;
    let (t, i) = (vectors(&found, "t"), vectors(&found, "i"));
    let labels = bias.len();
    for row in 0..ROWS {
        let zeros = |vector: &[f64], there: bool| if there { unit(vector) } else { vec![0.0; vector.len()] };
        let both = [zeros(&t[row], titles[row].is_some()), zeros(&i[row], files[row].is_some())].concat();
        let both = unit(&both);
        let plain = (0..labels).map(|label| {
            bias[label] + both.iter().zip(weight.chunks_exact(labels)).map(|(x, w)| x * w[label]).sum::<f64>()
        });
        for (found, plain) in logits[row * labels..].iter().zip(plain) {
            assert!((f64::from(*found) - plain).abs() < 1e-5 * plain.abs().max(1.0), "row {row}: {found}, {plain}");
        }
    }
    // A row alone is what it is among others.
    for row in [0, 1, 2, 40] {
        let alone = run(&[row]).await;
        for (alone, among) in alone.iter().zip(&logits[row * labels..]) {
            assert!((alone - among).abs() < 1e-5, "row {row}: {alone}, {among}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_may_lack_a_text_or_a_picture() {
    let home = home(&["resnet-basic"]);
    let session = session(&home);
    let sql = "CALL finetune(model => 'm', base => 'small', image_base => 'resnet-basic', method => 'full', epochs => 3,
               objective => 'classification', batch_size => 8, learning_rate => 0.001, validation => 0.2, publish => 'always',
               augment => 'full', examples => (SELECT CASE WHEN id % 6 <> 0 AND id % 6 <> 5 THEN title END AS text,
                 CASE WHEN id % 6 <> 1 AND id % 6 <> 5 THEN image END AS image, kind AS label FROM goods))";
    let curve = rows(&session, sql).await.unwrap();
    let message = texts(&curve, "message")[0].clone().unwrap();
    assert!(message.contains("small@1 with resnet-basic@1, as it is"), "{message}");
    assert!(message.contains("12 of 72 examples have neither a text nor a picture"), "{message}");
    assert!(message.contains("12 of 72 examples have a picture alone"), "{message}");
    assert!(message.contains("12 of 72 examples have a text alone"), "{message}");
    // Each distinct pair runs once, whatever its types, and what is missing is not what is empty.
    let sql = "SELECT count(classify(NULL, NULL, 'm')) AS none, count(classify(title, image, 'm')) AS all,
                      count(classify(arrow_cast(title, 'Dictionary(Int32, Utf8)'), arrow_cast(image, 'LargeBinary'), 'm')) AS large,
                      count(classify(arrow_cast(title, 'Utf8View'), arrow_cast(image, 'BinaryView'), 'm')) AS views,
                      count(classify(CASE WHEN id > 1 THEN title END, CASE WHEN id > 2 THEN image END, 'm')) AS some
               FROM goods";
    let counts = rows(&session, sql).await.unwrap();
    let counts = ["none", "all", "large", "views", "some"].map(|name| floats(&counts, name)[0]);
    assert_eq!(counts, [0.0, 72.0, 72.0, 72.0, 70.0]);
    let sql = "SELECT count(DISTINCT classify(text, image, 'm')['probability']) AS different
               FROM (SELECT image FROM goods LIMIT 1) CROSS JOIN (VALUES (''), (NULL), ('shoe'), ('')) AS t(text)";
    assert_eq!(floats(&rows(&session, sql).await.unwrap(), "different"), [3.0]);
    let sql = "EXPLAIN ANALYZE SELECT classify(title, image, 'm')['label'], classify(title, image, 'm')['probability']
               FROM (SELECT * FROM goods UNION ALL SELECT * FROM goods)";
    let plan = texts(&rows(&session, sql).await.unwrap(), "plan")[0].clone().unwrap();
    assert!(plan.matches("InferExec").count() == 1 && plan.contains("distinct_inputs=72,"), "{plan}");
    // A version that reads both is a base as well.
    let sql =
        "CALL finetune(model => 'other', base => 'm', method => 'head', objective => 'classification', epochs => 1,
               publish => 'always', examples => (SELECT title AS text, image, kind AS label FROM goods))";
    assert_eq!(texts(&rows(&session, sql).await.unwrap(), "version").last().unwrap().as_deref(), Some("other@1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_learned_from_both_and_training_goes_on() {
    let home = home(&["resnet-basic"]);
    let session = session(&home);
    let examples = "(SELECT title AS text, image, id % 3 + 4 * (id / 3 % 2) AS label, id AS timestamp FROM goods";
    let common = "model => 'price', objective => 'regression', method => 'head', publish => 'always', batch_size => 8";
    let first = format!(
        "CALL finetune({common}, base => 'small', image_base => 'resnet-basic', epochs => 20, learning_rate => 0.01,
                       split => 'time', examples => {examples} WHERE id < 48))"
    );
    rows(&session, &first).await.unwrap();
    let sql = "SELECT corr(predict(title, image, 'price'), id % 3 + 4 * (id / 3 % 2)) AS correlation FROM goods";
    let correlation = floats(&rows(&session, sql).await.unwrap(), "correlation")[0];
    assert!(correlation > 0.8, "{correlation}");
    let second = format!("CALL finetune({common}, since => 'last', examples => {examples}))");
    let curve = rows(&session, &second).await.unwrap();
    assert_eq!(texts(&curve, "version").last().unwrap().as_deref(), Some("price@2"));
    let with_base =
        format!("CALL finetune({common}, since => 'last', image_base => 'resnet-basic', examples => {examples}))");
    let error = rows(&session, &with_base).await.unwrap_err();
    assert!(error.contains("reads texts and pictures already; leave image_base out"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_towers_of_one_model_are_a_base() {
    let home = home(&["clip"]);
    let session = session(&home);
    let sql = format!(
        "CALL finetune(model => 'm', base => 'clip', method => 'head', {BOTH}, epochs => 2, publish => 'always')"
    );
    rows(&session, &sql).await.unwrap();
    let answers = rows(&session, "SELECT count(classify(title, image, 'm')) AS answers FROM goods").await.unwrap();
    assert_eq!(floats(&answers, "answers"), [72.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_picture_is_named_by_its_row() {
    let home = home(&["resnet-basic"]);
    let session = session(&home);
    let train = |table: &str| {
        format!(
            "CALL finetune(model => 'm', base => 'small', image_base => 'resnet-basic', method => 'head', publish => 'always',
             objective => 'classification', examples => (SELECT title AS text, image, kind AS label FROM {table} ORDER BY id))"
        )
    };
    let error = rows(&session, &train("damaged")).await.unwrap_err();
    assert!(error.contains("the picture in row 41 of 'examples' cannot be trained on"), "{error}");
    let runs = rows(&session, "SELECT count(*) AS runs FROM debut.training_runs").await.unwrap();
    assert_eq!(runs.column(0).as_primitive::<Int64Type>().value(0), 0);
    rows(&session, &train("goods")).await.unwrap();
    let sql = "SELECT classify(title, image, 'm') FROM damaged ORDER BY id";
    let error = rows(&session, sql).await.unwrap_err();
    assert!(error.contains("classify: model 'm@1': row 41: "), "{error}");
}

const NAMES: [&str; 8] = [
    "a red wide bag",
    "a red tall bag",
    "a blue wide bag",
    "a blue tall bag",
    "a grey wide bag",
    "a grey tall bag",
    "a black wide bag",
    "a black tall bag",
];

/// The tables `wares`: id, title and image, of which the picture shows what the title says.
fn with_wares(session: &Session) {
    let mut random = StdRng::seed_from_u64(2);
    let colors: [[u8; 3]; 4] = [[200, 40, 40], [50, 60, 210], [140, 140, 140], [25, 25, 25]];
    let file = |row: usize| {
        let (color, wide) = (colors[row % 8 / 2], row.is_multiple_of(2));
        let drawn = RgbImage::from_fn(32, 32, |x, y| {
            let inside = (8..24).contains(if wide { &y } else { &x });
            let base = if inside { color } else { [235; 3] };
            Rgb(base.map(|level: u8| level.saturating_add_signed(random.random_range(-20..20))))
        });
        let mut file = Cursor::new(Vec::new());
        drawn.write_to(&mut file, ImageFormat::Png).unwrap();
        file.into_inner()
    };
    let files = (0..96).map(file).collect::<Vec<_>>();
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..96))),
        ("title", Arc::new(StringArray::from_iter_values((0..96).map(|row| NAMES[row % 8])))),
        ("image", Arc::new(BinaryArray::from_iter_values(&files))),
    ];
    session.context().register_batch("wares", RecordBatch::try_from_iter(columns).unwrap()).unwrap();
}

/// The share of the pictures whose title is the nearest of all.
async fn recall(session: &Session, model: &str) -> f64 {
    let sql = format!(
        "SELECT avg((classify(image, ARRAY['{}'], '{model}')['label'] = title)::INT) AS right FROM wares",
        NAMES.join("', '")
    );
    floats(&rows(session, &sql).await.unwrap(), "right")[0]
}

/// How the published version compares its towers: its scale and its bias.
fn tower(home: &TempDir, model: &str) -> [Option<f64>; 2] {
    let path = home.path().join(format!("models/models--{model}/snapshots/1/debut.json"));
    let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    ["logit_scale", "logit_bias"].map(|name| manifest["text_tower"][name].as_f64())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_towers_learn_titles_with_pictures() {
    let home = home(&["clip", "siglip"]);
    let session = session(&home);
    with_wares(&session);
    for (base, method, others) in [
        ("clip", "full", ""),
        ("clip", "lora", ", targets => 'all'"),
        ("clip", "adalora", ", targets => 'all', rank => 4"),
        ("clip", "bitfit", ""),
        ("clip", "top_layers", ", layers => 1"),
        ("siglip", "full", ""),
        ("siglip", "lora", ", targets => 'all', keep => 'delta'"),
    ] {
        let model = format!("{base}-{method}");
        let call = |model: &str, base: &str, rest: &str| {
            format!(
                "CALL finetune(model => '{model}', base => '{base}', method => '{method}', objective => 'contrastive',
                               examples => (SELECT title AS text, image FROM wares), batch_size => 24, validation => 0.3,
                               learning_rate => 0.01, augment => 'none' {others}, {rest})"
            )
        };
        let curve = rows(&session, &call(&model, base, "epochs => 12")).await;
        let curve = curve.unwrap_or_else(|error| panic!("{base}, {method}: {error}"));
        let message = texts(&curve, "message");
        assert_eq!(message[0].as_deref(), Some(format!("{base}@1, as it is").as_str()));
        let version = texts(&curve, "version").last().unwrap().clone();
        assert_eq!(version, Some(format!("{model}@1")), "{message:?}");
        let (metrics, losses) = (floats(&curve, "metric"), floats(&curve, "validation_loss"));
        let best = (0..metrics.len()).max_by(|a, b| metrics[*a].total_cmp(&metrics[*b]).then(b.cmp(a))).unwrap();
        assert!(best > 0, "{base}, {method}: {metrics:?}");
        let (before, after) = (recall(&session, base).await, recall(&session, &model).await);
        assert!(after > before + 0.2, "{base}, {method}: recall {before} before, {after} after; {metrics:?}");

        // The towers of the version, joined again, give what the graph gave that was trained: scale and bias included.
        let again = rows(&session, &call("again", &model, "epochs => 1, publish => 'never'")).await.unwrap();
        let (metric, loss) = (floats(&again, "metric")[0], floats(&again, "validation_loss")[0]);
        // Low-rank products that are added to the weights round otherwise, and pictures of one title are nearly equal.
        assert!((metric - metrics[best]).abs() < 2e-3, "{base}, {method}: {metric}, {metrics:?}");
        // While AdaLoRA is trained, its penalty is part of the loss.
        let expected = if method == "adalora" { loss } else { losses[best] };
        assert!((loss - expected).abs() < 1e-4 * loss, "{base}, {method}: {loss}, {losses:?}");
        let (first, trained) = (tower(&home, base), tower(&home, &model));
        assert!(first[0] != trained[0] && trained[0].unwrap() <= 100.0, "{base}, {method}: {first:?}, {trained:?}");
        assert_eq!(first[1].is_some(), base == "siglip");
        assert_eq!((first[1] == trained[1]), base == "clip", "{base}, {method}: {first:?}, {trained:?}");
    }
    // Calls of it are those of any model of two towers.
    let sql = "SELECT count(DISTINCT title) AS nearest FROM (
                 SELECT title, row_number() OVER (ORDER BY score('a red wide bag', image, 'clip-full') DESC) AS place FROM wares)
               WHERE place <= 12";
    assert!(floats(&rows(&session, sql).await.unwrap(), "nearest")[0] < 4.0);
    let sql = "SELECT array_length(embed(title, 'clip-full')) AS t, array_length(embed(image, 'clip-full')) AS i,
                      array_length(embed(title, 'clip')) AS base FROM wares LIMIT 1";
    let widths = rows(&session, sql).await.unwrap();
    let widths = ["t", "i", "base"].map(|name| floats(&widths, name)[0]);
    assert!(widths[0] == widths[2] && widths[1] == widths[2], "{widths:?}");
    let names = std::fs::read_dir(home.path().join("models")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.map(|name| name.into_string().unwrap()).all(|name| name.starts_with("models--")));
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_or_pictures_may_be_missing_and_training_goes_on() {
    let home = home(&["clip"]);
    let session = session(&home);
    with_wares(&session);
    let call = |rest: &str| {
        format!(
            "CALL finetune(model => 'm', method => 'full', objective => 'contrastive', epochs => 1, split => 'time', {rest},
                           columns => 'text=title, timestamp=id')"
        )
    };
    let first =
        "base => 'clip', publish => 'always', examples => (SELECT id, CASE WHEN id % 12 > 0 THEN title END AS title,
                 CASE WHEN id % 12 <> 5 THEN image END AS image FROM wares WHERE id < 60)";
    let curve = rows(&session, &call(first)).await.unwrap();
    let message = texts(&curve, "message")[0].clone().unwrap();
    assert!(message.contains("10 of 60 examples have no text or no picture"), "{message}");
    assert_eq!(texts(&curve, "version").last().unwrap().as_deref(), Some("m@1"));
    let second = "since => 'last', publish => 'always', examples => (SELECT id, title, image FROM wares)";
    let curve = rows(&session, &call(second)).await.unwrap();
    let message = texts(&curve, "message")[0].clone().unwrap();
    assert!(message.contains("m@1, as it is"), "{message}");
    assert_eq!(texts(&curve, "version").last().unwrap().as_deref(), Some("m@2"));
    // With a comparison, whatever comes of it.
    let third = "since => 'last', replay => 0.9, examples => (SELECT id + 40 AS id, title, image FROM wares)";
    let message = texts(&rows(&session, &call(third)).await.unwrap(), "message").last().unwrap().clone().unwrap();
    assert!(message.contains("its mrr is ") && message.contains("that of m@2, in use, "), "{message}");
}
