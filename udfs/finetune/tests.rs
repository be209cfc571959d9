//! Options read from literals: defaults, ranges, names, contradictions, and the way back from stored text.
#![allow(clippy::unwrap_used)]

use datafusion::common::scalar::ScalarStructBuilder;
use datafusion::common::{Result, ScalarValue};

use super::*;
use crate::options::{Inputs, Values};

fn options(given: &[(&str, ScalarValue)]) -> Result<FinetuneOptions> {
    let model = [("model", ScalarValue::from("shop"))];
    let named = given.iter().any(|(name, _)| *name == "model");
    let given = if named { &[][..] } else { &model[..] }.iter().chain(given);
    FinetuneOptions::of(&Values::of(&FUNCTION, given.map(|(name, value)| (*name, value)), "base@1")?)
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::from(value)
}

#[test]
fn defaults_are_filled_in() {
    let found = options(&[]).unwrap();
    assert_eq!((found.model.as_str(), found.base.as_str()), ("shop", "base@1"));
    assert_eq!(found.objective, Objective::Contrastive { temperature: None });
    assert_eq!(found.method, Method::Lora { rank: 8, alpha: 16.0, dropout: 0.0, targets: vec![] });
    assert_eq!((found.epochs, found.batch_size, found.learning_rate), (3, 64, 5e-4));
    assert_eq!((found.clip, found.patience, found.max_tokens, found.since.clone()), (Some(1.0), None, None, None));
    assert_eq!(options(&[("method", text("full"))]).unwrap().learning_rate, 2e-5);
    let head = options(&[("objective", text("classification")), ("method", text("head"))]).unwrap();
    assert_eq!((head.epochs, head.learning_rate), (30, 2.5e-3));
    assert!(!found.values().contains_key("layers"), "not read by lora");
    assert_eq!(found.values()["rank"], "8");
}

#[test]
fn every_kind_of_literal_is_read() {
    let names = ScalarValue::List(ScalarValue::new_list_nullable(
        &[text("query"), text("dense")],
        &arrow::datatypes::DataType::Utf8,
    ));
    let found = options(&[
        ("objective", text("Classification")),
        ("method", text("adalora")),
        ("targets", names),
        ("epochs", ScalarValue::Int64(Some(12))),
        ("learning_rate", ScalarValue::Float64(Some(3e-5))),
        ("dropout", ScalarValue::Decimal128(Some(15), 3, 2)),
        ("clip", ScalarValue::Int64(Some(0))),
        ("resume", ScalarValue::Boolean(Some(false))),
        ("class_weights", text("balanced")),
        ("columns", text("text=title, label = article_type")),
        ("since", ScalarValue::Date32(Some(20_000))),
    ])
    .unwrap();
    assert_eq!(found.objective, Objective::Classification { class_weights: ClassWeights::Balanced });
    let targets = ["query", "dense"].map(str::to_string).to_vec();
    assert_eq!(found.method, Method::AdaLora { rank: 8, alpha: 16.0, targets });
    assert_eq!((found.epochs, found.learning_rate, found.dropout, found.clip), (12, 3e-5, 0.15, None));
    assert!(!found.resume);
    assert_eq!(found.columns["label"], "article_type");
    assert_eq!((found.since.clone(), found.replay), (Some(Since::Time("2024-10-04".into())), 0.2));
}

#[test]
fn mistakes_name_option_value_and_range() {
    let null = ScalarValue::Int64(None);
    let number = |value: f64| ScalarValue::Float64(Some(value));
    let record = ScalarStructBuilder::new()
        .with_scalar(
            arrow::datatypes::Field::new("a", arrow::datatypes::DataType::Int64, true),
            ScalarValue::from(1i64),
        )
        .build()
        .unwrap();
    for (given, parts) in [
        (vec![("learnin_rate", number(1.0))], vec!["no option 'learnin_rate'", "did you mean 'learning_rate'?"]),
        (vec![("item", text("x"))], vec!["no option 'item'", "'items'", "interactions"]),
        (vec![("zzz", text("x"))], vec!["no option 'zzz'; the options are model, since, base"]),
        (vec![("epochs", null)], vec!["epochs is NULL", "leave it out"]),
        (vec![("epochs", number(2.5))], vec!["epochs is an integer from 1 to 10000, not '2.5'"]),
        (vec![("epochs", text("many"))], vec!["epochs is an integer", "'many'"]),
        (vec![("epochs", record)], vec!["epochs is an integer", "Struct"]),
        (vec![("seed", number(-1.0))], vec!["seed is an integer from 0, not '-1"]),
        (vec![("learning_rate", number(0.0))], vec!["learning_rate is a number above 0 and up to 100, not '0"]),
        (vec![("learning_rate", number(-1e-3))], vec!["learning_rate", "'-0.001'"]),
        (vec![("learning_rate", number(f64::NAN))], vec!["learning_rate", "'NaN'"]),
        (vec![("dropout", number(1.0))], vec!["dropout is a number from 0 to below 1, not '1"]),
        (vec![("method", text("lorra"))], vec!["method is 'head', 'bitfit', 'lora'", "did you mean 'lora'?"]),
        (vec![("layers", text("2"))], vec!["layers works only with method => 'top_layers'"]),
        (vec![("momentum", text("0.5"))], vec!["momentum works only with optimizer => 'sgd'"]),
        (vec![("negatives", text("2"))], vec!["negatives works only with objective => 'bce' or 'bpr'"]),
        (vec![("replay", text("0.5"))], vec!["replay works only with since => ..."]),
        (vec![("since", text("yesterday"))], vec!["since is a timestamp", "'yesterday'"]),
        (vec![("resume", text("perhaps"))], vec!["resume is true or false, not 'perhaps'"]),
        (vec![("columns", text("title"))], vec!["pairs such as 'text=title", "'title'"]),
        (vec![("columns", text("txt=title"))], vec!["no role 'txt'", "did you mean 'text'?"]),
        (vec![("columns", text("text=a,text=b"))], vec!["two columns for 'text'"]),
        (vec![("columns", text("text="))], vec!["no column for 'text'"]),
        (vec![("targets", text("query,,value"))], vec!["targets is names such as"]),
        (vec![("model", text("shop@3"))], vec!["without", "'shop', not 'shop@3'"]),
        (vec![("model", text(" "))], vec!["model is a text"]),
        (vec![("method", text("full")), ("keep", text("delta"))], vec!["keep => 'delta' needs method => 'lora'"]),
        (vec![("objective", text("regression")), ("split", text("last"))], vec!["'regression' has no users"]),
        (vec![("validation", number(0.0))], vec!["'if_better' compares on validation examples"]),
        (
            vec![("validation", number(0.0)), ("publish", text("always")), ("patience", text("2"))],
            vec!["patience watches the validation metric"],
        ),
    ] {
        let message = options(&given).unwrap_err().to_string();
        let said = parts.iter().all(|part| *part == "without" || message.contains(part));
        assert!(said && message.contains("finetune: "), "{given:?}: {message}");
    }
    let seed = text("1");
    let values = |given: &[(&'static str, &ScalarValue)]| Values::of(&FUNCTION, given.iter().copied(), "b");
    let message = values(&[("seed", &seed), ("seed", &seed)]).unwrap_err().to_string();
    assert!(message.contains("seed is given twice"), "{message}");
    let message = values(&[("seed", &seed)]).unwrap_err().to_string();
    assert!(message.contains("finetune needs model => ..."), "{message}");
}

#[test]
fn a_recommender_has_a_training_of_its_own() {
    let recommend = |more: &[(&str, ScalarValue)]| options(&[&[("objective", text("recommend"))], more].concat());
    let found = recommend(&[]).unwrap();
    assert_eq!(found.objective, Objective::Recommend { factors: 64, window_days: 84, neighbours: 50 });
    assert_eq!((&found.method, found.split, found.epochs), (&Method::Full, Split::Time, 16));
    assert_eq!((found.batch_size, found.learning_rate, found.resume), (256, 1.5e-4, true));
    assert!(!recommend(&[("resume", ScalarValue::Boolean(Some(false)))]).unwrap().resume);
    assert_eq!((found.values()["window"].as_str(), found.values().get("validation")), ("84", None));
    assert_eq!(recommend(&[("method", text("lora"))]).unwrap().learning_rate, 1.5e-4);
    for (given, part) in [
        (("patience", text("2")), "patience cannot be used with objective => 'recommend'; leave it out here"),
        (("negatives", text("2")), "negatives works only with objective => 'bce' or 'bpr'"),
        (("split", text("last")), "'recommend' holds out items"),
        (("window", text("0")), "window is an integer from 1 to 3660, not '0'"),
    ] {
        let message = recommend(&[given]).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let message = options(&[("factors", text("8"))]).unwrap_err().to_string();
    assert!(message.contains("factors works only with objective => 'recommend'"), "{message}");
}

#[test]
fn a_student_has_a_training_of_its_own() {
    let distill = |more: &[(&str, ScalarValue)]| options(&[&[("objective", text("distill"))], more].concat());
    let found = distill(&[]).unwrap();
    assert_eq!(
        (&found.objective, &found.method, found.split),
        (&Objective::Distill { student: Student::Static }, &Method::Full, Split::Random)
    );
    assert_eq!((found.epochs, found.batch_size, found.learning_rate), (10, 128, 0.003));
    assert_eq!((found.values()["student"].as_str(), found.values().get("method")), ("static", None));
    for (given, part) in [
        (("student", text("small")), "student is 'static' or 'layers', not 'small'"),
        (("method", text("lora")), "method cannot be used with objective => 'distill'; leave it out here"),
        (("optimizer", text("sgd")), "optimizer cannot be used with objective => 'recommend' or 'distill'"),
        (("since", text("2026-01-01")), "objective 'distill' makes a student of its base from all examples"),
        (("split", text("last")), "objective 'distill' has no users"),
    ] {
        let message = distill(&[given]).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let found = distill(&[("student", text("layers"))]).unwrap();
    assert_eq!((&found.objective, &found.method), (&Objective::Distill { student: Student::Layers }, &Method::Layers));
    assert_eq!((found.epochs, found.batch_size, found.learning_rate, found.warmup), (10, 32, 0.0002, 0.1));
    let message = options(&[("student", text("static"))]).unwrap_err().to_string();
    assert!(message.contains("student works only with objective => 'distill'"), "{message}");
}

#[test]
fn what_is_named_is_made() {
    for name in objective::NAMES {
        assert_eq!(options(&[("objective", text(name))]).unwrap().objective.name(), *name);
    }
    for name in method::NAMES {
        assert_eq!(options(&[("method", text(name))]).unwrap().method.name(), *name);
    }
    let dropping = |name: &str| options(&[("method", text(name)), ("dropout", text("0.1"))]).unwrap();
    assert_eq!(dropping("bitfit").dropout, 0.1);
    let lora = dropping("lora");
    assert!(lora.dropout == 0.0 && matches!(lora.method, Method::Lora { dropout: 0.1, .. }), "its own inputs instead");
}

#[test]
fn each_objective_has_its_sub_queries() {
    let inputs = |names: &str| {
        let mut inputs = Inputs::default();
        for name in names.split_whitespace() {
            *inputs.get_mut(name).unwrap() = Some(());
        }
        inputs
    };
    let check = |objective: &str, names: &str| {
        let options = options(&[("objective", text(objective))]).unwrap();
        assert_eq!(options.objective.name(), objective);
        options.objective.examples().check(objective, &inputs(names))
    };
    for (objective, names) in [
        ("contrastive", "interactions items"),
        ("contrastive", "examples"),
        ("bce", "items interactions"),
        ("bpr", "interactions items"),
        ("classification", "examples"),
        ("regression", "examples"),
        ("similarity", "examples"),
        ("recommend", "interactions items"),
        ("distill", "examples"),
    ] {
        assert_eq!(check(objective, names), Ok(()), "{objective}");
    }
    for (objective, names, part) in [
        ("contrastive", "", "needs interactions => (SELECT user_id, item_id"),
        ("contrastive", "interactions", "needs items => (SELECT item_id, text"),
        ("contrastive", "interactions items examples", "not both"),
        ("contrastive", "items examples", "not both"),
        ("bce", "items", "needs interactions"),
        ("bpr", "examples", "and not examples"),
        ("recommend", "items", "needs interactions"),
        ("classification", "", "needs examples => (SELECT text, label"),
        ("classification", "interactions items", "needs examples => (SELECT text, label"),
        ("similarity", "", "text, other, label"),
        ("regression", "items examples", "and not items"),
        ("distill", "", "needs examples => (SELECT text FROM"),
        ("distill", "items", "needs examples => (SELECT text FROM"),
    ] {
        let message = check(objective, names).unwrap_err();
        assert!(message.contains(part) && message.contains(objective), "{objective} with '{names}': {message}");
    }
}

#[test]
fn an_epoch_is_a_row() {
    let row =
        rows::EpochRow { epoch: 2, step: 20, metric: Some(0.5), run: "r".to_string(), ..rows::EpochRow::default() };
    let batch = rows::batch(row).unwrap();
    assert_eq!((batch.num_rows(), batch.schema()), (1, rows::schema()));
    assert_eq!(batch.column_by_name("version").unwrap().null_count(), 1);
}
