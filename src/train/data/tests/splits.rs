//! What is held out, what is replayed, and that neither depends on the order of rows.

use super::*;

#[test]
fn equal_rows_in_any_order_and_batches_make_an_equal_dataset() {
    let whole = small_shop();
    let batch = &whole.interactions.as_ref().unwrap().batches[0];
    proptest!(ProptestConfig::with_cases(24), |(order in Just((0..40u32).collect::<Vec<_>>()).prop_shuffle(), cut in 1usize..39)| {
        let shuffled = take_record_batch(batch, &UInt32Array::from(order)).unwrap();
        let batches = vec![shuffled.slice(0, cut), shuffled.slice(cut, 40 - cut)];
        let mut tables = whole.clone();
        tables.interactions = Some(Table { schema: batch.schema(), batches });
        for (kind, split) in [(BCE, Split::Time), (CONTRASTIVE, Split::Random), (BPR, Split::Last)] {
            let options = Options { split, ..options(kind) };
            let (a, b) = (Dataset::build(&whole, &options).unwrap(), Dataset::build(&tables, &options).unwrap());
            prop_assert_eq!(&a.examples, &b.examples);
            prop_assert_eq!((&a.inputs, &a.train, &a.validation), (&b.inputs, &b.train, &b.validation));
            prop_assert_eq!((&a.fingerprint, &a.notes), (&b.fingerprint, &b.notes));
        }
    });
    let dataset = |kind, seed| Dataset::build(&whole, &Options { seed, ..options(kind) }).unwrap();
    assert_ne!(dataset(BCE, 1).validation, dataset(BCE, 2).validation);
    assert_eq!(dataset(BCE, 1).fingerprint, dataset(BCE, 2).fingerprint);
    assert_eq!(dataset(BCE, 1).fingerprint.len(), 16);
}

#[test]
fn other_values_make_another_fingerprint() {
    let of = |text: &str, label: i64| {
        let tables = examples(vec![("text", texts([text, "b", "c", "d"])), ("label", numbers([label, 2, 2, 1]))]);
        Dataset::build(&tables, &Options { validation: 0.0, ..options(CLASSIFICATION) }).unwrap().fingerprint
    };
    assert_eq!(of("a", 1), of("a", 1));
    assert_ne!(of("a", 1), of("aa", 1));
    assert_ne!(of("a", 1), of("a", 2));
}

#[test]
fn splits_hold_out_what_they_say() {
    let time = |share| {
        let options = Options { split: Split::Time, validation: share, ..options(BCE) };
        Dataset::build(&small_shop(), &options).unwrap()
    };
    // Ten interactions a day on four days: whole days are held out.
    assert_eq!([0.05, 0.25, 0.3].map(|share| time(share).validation.len()), [10, 10, 20]);
    let last = Dataset::build(&small_shop(), &Options { split: Split::Last, ..options(BPR) }).unwrap();
    let users = last.validation.iter().map(|example| interactions(&last).user[*example as usize]);
    assert_eq!(users.collect::<HashSet<_>>().len(), 10);
    let random = Dataset::build(&small_shop(), &Options { validation: 0.25, ..options(BCE) }).unwrap();
    assert_eq!((random.train.len(), random.validation.len()), (30, 10));
}

#[test]
fn random_splits_keep_every_class_and_no_text_on_both_sides() {
    let titles = (0..200).map(|row| format!("t{}", row % 90)).collect::<Vec<_>>();
    let labels = (0..200).map(|row| row % 90 % 30).collect::<Vec<_>>();
    let tables = examples(vec![("text", texts(titles.iter().map(String::as_str))), ("label", numbers(labels))]);
    for seed in 0..5 {
        let dataset = Dataset::build(&tables, &Options { seed, ..options(CLASSIFICATION) }).unwrap();
        let classes = classes(&dataset);
        let side = |side: &[u32]| side.iter().map(|at| classes.input[*at as usize]).collect::<HashSet<_>>();
        let (train, validation) = (side(&dataset.train), side(&dataset.validation));
        assert!(train.is_disjoint(&validation));
        assert_eq!((train.len(), validation.len()), (81, 9));
        let trained = dataset.train.iter().map(|at| classes.class[*at as usize]).collect::<HashSet<_>>();
        assert_eq!(trained.len(), 30);
    }
}

#[test]
fn since_keeps_the_new_and_some_of_the_old() {
    let tables = small_shop();
    let of = |since: &str, replay| {
        let options = Options { since: Some(Since::Time(since.into())), replay, validation: 0.0, ..options(BCE) };
        Dataset::build(&tables, &options)
    };
    // A fifth of 25 rows are old, and no more than all of them.
    assert_eq!([0.0, 0.2, 0.9].map(|replay| of("2", replay).unwrap().train.len()), [20, 25, 40]);
    assert!(of("2", 0.2).unwrap().notes[0].contains("20 rows are of 2 or later; of 20 older ones 5 are replayed"));
    for (since, expected) in [("9", "none of the 40 rows of 'interactions'"), ("2026-01-01", "is not an integer")] {
        let message = of(since, 0.0).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    // 2026-01-01 and 2026-01-02, in every type that times come in.
    let day = 86_400_000_000;
    let first = 20_454 * day;
    let times: [ArrayRef; 5] = [
        Arc::new(TimestampMicrosecondArray::from(vec![first, first + day, first + day])),
        Arc::new(TimestampMicrosecondArray::from(vec![first, first + day, first + day]).with_timezone("+02:00")),
        Arc::new(Date32Array::from(vec![20_454, 20_455, 20_455])),
        texts(["2026-01-01", "2026-01-02", "2026-01-02T10:30:00"]),
        Arc::new(DictionaryArray::<Int32Type>::new(
            Int32Array::from(vec![0, 1, 1]),
            Arc::new(StringArray::from(vec!["2026-01-01 00:00:00", "2026-01-02 00:00:00"])),
        )),
    ];
    for time in times {
        let tables =
            examples(vec![("text", texts(["a", "b", "c"])), ("label", numbers([1, 2, 3])), ("timestamp", time)]);
        let since = Some(Since::Time("2026-01-02".into()));
        let options = Options { since, replay: 0.0, validation: 0.0, ..options(Objective::Regression) };
        assert_eq!(Dataset::build(&tables, &options).unwrap().train.len(), 2);
        let wrong = Options { since: Some(Since::Time("yesterday".into())), ..options };
        assert!(
            failure(&tables, &wrong).contains("since = 'yesterday': is not a time such as"),
            "{}",
            failure(&tables, &wrong)
        );
    }
}

#[test]
fn splits_that_leave_a_side_empty_are_refused() {
    let same = |rows: usize| {
        let columns = vec![
            ("text", texts(vec!["a"; rows])),
            ("label", numbers(0..rows as i64)),
            ("timestamp", numbers(vec![1; rows])),
        ];
        examples(columns)
    };
    for split in [Split::Random, Split::Time] {
        let message = failure(&same(5), &Options { split, ..options(Objective::Regression) });
        assert!(message.contains("leaves nothing to validate with"), "{message}");
    }
}
