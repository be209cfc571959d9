//! The committed shop is what its generator makes.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

#[path = "../data/generate.rs"]
#[allow(dead_code)]
mod generate;
mod support;

fn read(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let batches = reader.build().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    concat_batches(&schema, &batches).unwrap()
}

#[test]
fn the_generator_makes_the_committed_files() {
    let folder = tempfile::tempdir().unwrap();
    generate::generate(folder.path()).unwrap();
    for (file, least) in [
        ("products.parquet", 2000),
        ("pictures.parquet", 250),
        ("customers.parquet", 1500),
        ("interactions.parquet", 50_000),
        ("help.parquet", 70),
        ("questions.parquet", 240),
    ] {
        let (made, committed) = (read(&folder.path().join(file)), read(&support::repository("data").join(file)));
        assert!(made.num_rows() >= least, "{file}");
        assert_eq!(made, committed, "{file}: run `cargo run --example generate_shop -- data` and commit the result");
    }
}
