//! Steps themselves: the same seed gives the same curve, a run that goes on gives what one that did not stop gave, and what
//! goes wrong leaves the parameters as they were.

use super::fixtures::{Training, adamw, batch, feeds, settings, small};
use crate::inference::runtime::Target;
use crate::train::error::Error;
use crate::train::method::Method;
use crate::train::step::{Feed, FeedValues, Precision, Settings, StepSession};

fn lora(dropout: f64) -> Method {
    Method::Lora { rank: 4, alpha: 8.0, dropout, targets: vec![] }
}

#[test]
fn a_resumed_run_equals_one_that_did_not_stop() {
    let version = small("bert-mean-normalize");
    let feeds = [batch(version.vocabulary, 0), batch(version.vocabulary, 1)];
    let settings = Settings { accumulate: true, ..settings(adamw(0.01)) };
    let run = |training: &mut Training, from: usize, to: usize| -> Vec<f32> {
        (from..to).map(|step| training.session.step(&feeds[step % 2], 1e-3, step % 3 == 2).unwrap().loss).collect()
    };
    let mut whole = Training::new(&version, &lora(0.2), settings, |_| {});
    let expected = run(&mut whole, 0, 12);
    let mut first = Training::new(&version, &lora(0.2), settings, |_| {});
    let mut found = run(&mut first, 0, 7); // in the middle of an accumulation
    let state = first.session.state().unwrap();
    assert_eq!((state.step, state.batches, state.pending), (2, 7, 1));
    drop(first);
    let mut second = Training::new(&version, &lora(0.2), settings, |_| {});
    second.session.restore(&state).unwrap();
    assert_eq!(second.session.state().unwrap(), state);
    found.extend(run(&mut second, 7, 12));
    assert_eq!(found, expected);
    assert_eq!(second.session.state().unwrap(), whole.session.state().unwrap());
}

#[test]
fn dropout_is_for_training_only() {
    let version = small("bert-mean-normalize");
    let feeds = batch(version.vocabulary, 0);
    let mut dropped = Training::new(&version, &lora(0.5), settings(adamw(0.0)), |_| {});
    let mut plain = Training::new(&version, &lora(0.0), settings(adamw(0.0)), |_| {});
    let state = plain.session.state().unwrap();
    plain.losses(&feeds, 1e-2, 3);
    let trained = plain.session.state().unwrap();
    assert_ne!(state, trained);
    dropped.session.restore(&trained).unwrap();
    let (mut a, mut b) = (dropped.evaluation(), plain.evaluation());
    let (a, b) = (a.run(&mut dropped.session, &feeds).unwrap(), b.run(&mut plain.session, &feeds).unwrap());
    assert!((a.loss - b.loss).abs() < 1e-6);
    let losses = (dropped.losses(&feeds, 1e-9, 2), plain.losses(&feeds, 1e-9, 2));
    assert!((losses.1[0] - b.loss).abs() < 1e-5);
    assert!(losses.0[0] != losses.1[0] && losses.0[0] != losses.0[1], "{losses:?}");
}

#[test]
fn a_step_that_goes_wrong_changes_nothing() {
    let version = small("bert-mean-normalize");
    let good = batch(version.vocabulary, 0);
    let mut training = Training::new(&version, &Method::BitFit, settings(adamw(0.0)), |_| {});
    training.losses(&good, 1e-3, 1);
    let before = training.session.state().unwrap();
    let error = training.session.step(&good, 1e-3, false).unwrap_err().to_string();
    assert!(error.contains("without accumulation"), "{error}");
    let error = training.session.step(&good[..1], 1e-3, true).unwrap_err().to_string();
    assert!(error.contains("input 'attention_mask'") || error.contains("input 'token_type_ids'"), "{error}");
    let mut wrong = good.clone();
    wrong[0] = Feed { values: FeedValues::F32(vec![0.0; 1024]), ..wrong[0].clone() };
    let error = training.session.step(&wrong, 1e-3, true).unwrap_err().to_string();
    assert!(error.contains("takes Int64") || error.contains("float32"), "{error}");
    let outside = feeds(vec![999_999; 1024], vec![1; 1024], 64, 16);
    let error = training.session.step(&outside, 1e-3, true).unwrap_err();
    assert!(matches!(error, Error::Run { step: 2, .. }), "{error}");
    assert_eq!(training.session.state().unwrap(), before);

    let name = training.graph.parameters()[0].name.clone();
    let mut values = training.session.read(&name).unwrap();
    values[0] = f32::NAN;
    training.session.write(&name, &values).unwrap();
    let error = training.session.step(&good, 1e-3, true).unwrap_err();
    assert!(matches!(error, Error::NotFinite { what: "loss", step: 2, .. }), "{error}");
    training.session.restore(&before).unwrap();
    training.session.step(&good, 1e-3, true).unwrap();
}

#[test]
fn batches_may_have_any_shape() {
    let version = small("bert-mean-normalize");
    let mut training = Training::new(&version, &lora(0.1), settings(adamw(0.0)), |_| {});
    for tokens in [3, 16, 48, 5] {
        let count = 64 * tokens;
        let feeds = feeds((0..count as i64).map(|id| 5 + id % 290).collect(), vec![1; count], 64, tokens);
        training.session.step(&feeds, 1e-3, true).unwrap();
    }
}

#[test]
fn a_foreign_state_and_mixed_precision_on_the_cpu_are_refused() {
    let version = small("bert-mean-normalize");
    let mut training = Training::new(&version, &lora(0.0), settings(adamw(0.0)), |_| {});
    let other = Training::new(&version, &Method::BitFit, settings(adamw(0.0)), |_| {});
    let before = training.session.state().unwrap();
    let error = training.session.restore(&other.session.state().unwrap()).unwrap_err().to_string();
    assert!(error.contains("lora_A"), "{error}");
    assert_eq!(training.session.state().unwrap(), before);
    let environment = super::fixtures::environment();
    let error = StepSession::open(&other.graph, environment, &Target::Cpu, Precision::Mixed).unwrap_err().to_string();
    assert!(error.contains("precision is mixed"), "{error}");
}
