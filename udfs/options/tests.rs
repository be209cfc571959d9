//! Settings, values and defaults, over the functions that there are.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};

use super::setting::{Default, Kind, Readers};
use super::value::Value;
use super::*;
use crate::evaluate::EvaluateOptions;
use crate::functions::CALLS;
use crate::recommend::RecommendOptions;
use crate::{evaluate, finetune, recommend};

fn values(function: &'static Function, given: &[(&str, ScalarValue)]) -> Result<Values> {
    Values::of(function, given.iter().map(|(name, value)| (*name, value)), "shop@2")
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::from(value)
}

#[test]
fn settings_are_one_of_each_and_documented() {
    for function in CALLS {
        let names: BTreeSet<_> = function.settings.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), function.settings.len());
        let documentation = function.documentation();
        let documented = documentation.arguments.as_ref().unwrap();
        assert_eq!(documented.len(), function.settings.len() + function.sub_queries.len());
        assert!(function.usage.starts_with(function.name) && documentation.sql_example.is_some());
        for (name, _) in function.sub_queries {
            assert!(Inputs::<()>::default().get_mut(name).is_some(), "{name}");
        }
    }
    let describe = |function: &Function, name: &str| function.setting(name).unwrap().describe();
    assert_eq!(
        describe(&finetune::FUNCTION, "rank"),
        "Rank of the low-rank matrices. An integer from 1 to 1024. Default 8. Only with method => 'lora' or 'adalora'."
    );
    assert_eq!(
        describe(&finetune::FUNCTION, "max_steps"),
        "Maximum number of optimizer steps. An integer from 1. Not with objective => 'recommend'."
    );
    assert_eq!(
        describe(&finetune::FUNCTION, "optimizer"),
        "The optimizer: 'adamw' or 'sgd'. Default adamw. Not with objective => 'recommend' or 'distill'."
    );
    assert!(describe(&finetune::FUNCTION, "model").ends_with("A text. Required."));
    assert!(
        describe(&finetune::FUNCTION, "replay").ends_with("Only with since, and not with objective => 'recommend'.")
    );
    let epochs = describe(&finetune::FUNCTION, "epochs");
    assert!(epochs.ends_with("Default 16 for recommend, 10 for distill, 30 for head, else 3."), "{epochs}");
    assert!(describe(&recommend::FUNCTION, "prior_strength").ends_with("Only with explore => true."));
}

#[test]
fn every_default_is_in_its_range() {
    for function in CALLS {
        for (place, setting) in function.settings.iter().enumerate() {
            let parse = |text: &str| Value::parse(function.name, setting, text).unwrap().to_string();
            let before = |option: &str| function.settings[..place].iter().any(|setting| setting.name == option);
            let defaults = match setting.default {
                Default::Value(text) => vec![text],
                Default::By { cases, otherwise } => {
                    assert!(cases.iter().all(|(option, ..)| before(option)), "{}", setting.name);
                    cases.iter().map(|(.., text)| *text).chain(otherwise).collect()
                }
                Default::Required | Default::Absent | Default::SessionModel => vec![],
            };
            for text in defaults {
                assert_eq!(parse(text), text, "{}", setting.name);
            }
            if let Kind::OneOf(values) = setting.kind {
                assert!(values.iter().all(|value| parse(value) == *value), "{}", setting.name);
            }
            if let Readers::Where(option, _)
            | Readers::Except(option, _)
            | Readers::On(option)
            | Readers::Given(option)
            | Readers::GivenExcept(option, ..) = setting.readers
            {
                assert!(before(option), "{} is decided about by what stands before it", setting.name);
            }
        }
    }
}

#[test]
fn lists_of_numbers_are_read() {
    let integers = |given| values(&evaluate::FUNCTION, &[("k", given)]).map(|values| values.counts("k"));
    let list = |items: &[ScalarValue], of: &DataType| ScalarValue::List(ScalarValue::new_list_nullable(items, of));
    assert_eq!(integers(text(" 10,20")).unwrap(), [10, 20]);
    assert_eq!(integers(ScalarValue::Int64(Some(5))).unwrap(), [5]);
    let numbers = [1, 5].map(|value| ScalarValue::Int64(Some(value)));
    assert_eq!(integers(list(&numbers, &DataType::Int64)).unwrap(), [1, 5]);
    assert_eq!(integers(list(&[text("7")], &DataType::Utf8)).unwrap(), [7]);
    let boosts = [1.0, 2.5].map(|value| ScalarValue::Float64(Some(value)));
    let found = values(&evaluate::FUNCTION, &[("boosts", list(&boosts, &DataType::Float64))]).unwrap();
    assert_eq!((found.numbers("boosts"), found.texts()["boosts"].as_str()), (vec![1.0, 2.5], "1,2.5"));
    for (given, part) in [
        (text("10,0"), "evaluate: k is integers from 1 to 1000000, such as '10, 20', not '10,0'"),
        (text(""), "not ''"),
        (text("10;20"), "not '10;20'"),
        (ScalarValue::Float64(Some(1.5)), "not '1.5'"),
        (list(&[ScalarValue::Int64(None)], &DataType::Int64), "not a list of something else"),
        (list(&[], &DataType::Int64), "not ''"),
    ] {
        let message = integers(given).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let message = values(&recommend::FUNCTION, &[("k", list(&numbers, &DataType::Int64))]).unwrap_err().to_string();
    assert!(message.contains("recommend: k is an integer from 1 to 1000000, not a list"), "{message}");
}

#[test]
fn recommend_is_typed() {
    let of = |given: &[(&str, ScalarValue)]| RecommendOptions::of(&values(&recommend::FUNCTION, given)?);
    let found = of(&[]).unwrap();
    assert_eq!((found.model.as_str(), found.k, found.seed), ("shop@2", 20, 42));
    assert_eq!((found.new_boost, found.max_exposure, found.explore, found.only_new), (None, None, None, false));
    let truth = ScalarValue::Boolean(Some(true));
    assert_eq!(of(&[("explore", truth.clone())]).unwrap().explore, Some(100.0));
    assert_eq!(of(&[("explore", truth), ("prior_strength", text("7"))]).unwrap().explore, Some(7.0));
    for (given, part) in [
        (("prior_strength", text("7")), "prior_strength works only with explore => true; leave it out here"),
        (("min_new_share", text("1.1")), "min_new_share is a number from 0 to 1, not '1.1'"),
        (("diversity", text("1")), "diversity is a number from 0 to below 1"),
        (("max_exposur", text("1")), "recommend: there is no option 'max_exposur'; did you mean 'max_exposure'?"),
        (("columns", text("label=x")), "recommend: columns has no role 'label'"),
    ] {
        let message = of(&[given]).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn evaluate_is_typed() {
    let of = |given: &[(&str, ScalarValue)]| EvaluateOptions::of(&values(&evaluate::FUNCTION, given)?);
    let found = of(&[("k", text("20,10,20")), ("since", text("2011-09-17"))]).unwrap();
    assert_eq!((found.k, found.since), (vec![10, 20], Some(1_316_217_600_000_000)));
    assert_eq!((found.boosts.len(), found.resamples, found.clip), (6, 1000, 20.0));
    // Microseconds before 1970 are rounded down like all others.
    let before = text("1969-12-31 23:59:59.9999999");
    assert_eq!(of(&[("since", before)]).unwrap().since, Some(-1));
    let message = of(&[("since", text("1316217600"))]).unwrap_err().to_string();
    assert!(message.contains("evaluate: since is a timestamp such as"), "{message}");
}
