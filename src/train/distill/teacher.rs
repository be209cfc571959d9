//! What a teacher says: takes its version, gives its vectors of single tokens.

use crate::inference::tokenizer::Tokenizer;
use crate::linalg::dense::Matrix;
use crate::registry::ModelVersion;
use crate::train::failure::{Result, Stopped, failed};
use crate::train::measure::open_encoder;
use crate::train::step::{Feed, ForwardSession};
use crate::train::tower::Place;

/// Tokens that are embedded at a time.
const TOGETHER: usize = 128;

/// The vectors of single tokens, and the special tokens that every text has.
pub(super) struct Tokens {
    /// A row for each id, of length one.
    pub(super) vectors: Matrix,
    /// The ids of a text without a token.
    pub(super) special: Vec<u32>,
}

/// The vectors of texts of one token, for every token of the vocabulary.
///
/// # Errors
/// [`Stopped::Cancelled`]; or the teacher cannot be opened, or the runtime fails.
pub(super) fn tokens(
    teacher: &ModelVersion,
    place: &Place<'_>,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Tokens, Stopped> {
    let (reference, most) = (teacher.reference(), teacher.manifest.max_tokens);
    let tokenizer = Tokenizer::open(&reference, &teacher.tokenizer(), most).map_err(failed)?;
    let (special, _) = tokenizer.of_token(None).map_err(failed)?;
    let encoder = open_encoder(&teacher.graph(), &teacher.manifest)?;
    let dimension = encoder.dimension;
    let outputs = [encoder.embeddings.clone()];
    let environment = place.runtime.environment();
    let mut session = ForwardSession::open(encoder, &outputs, environment, place.target).map_err(failed)?;
    let vocabulary = (0..tokenizer.ids() as u32).collect::<Vec<_>>();
    let mut values = Vec::with_capacity(vocabulary.len() * dimension);
    for ids in vocabulary.chunks(TOGETHER) {
        if stop() {
            return Err(Stopped::Cancelled);
        }
        let (mut all, mut types) = (Vec::new(), Vec::new());
        for id in ids {
            let (of_one, its_types) = tokenizer.of_token(Some(*id)).map_err(failed)?;
            all.extend(of_one.into_iter().map(i64::from));
            types.extend(its_types.into_iter().map(i64::from));
        }
        let shape = [ids.len(), special.len() + 1];
        let mask = vec![1; all.len()];
        let feeds = [
            Feed::i64("input_ids", &shape, all),
            Feed::i64("attention_mask", &shape, mask),
            Feed::i64("token_type_ids", &shape, types),
        ];
        values.extend(session.run(&feeds).map_err(failed)?.into_iter().flatten());
    }
    let mut vectors = Matrix::new(vocabulary.len(), dimension, values);
    vectors.normalize_rows();
    Ok(Tokens { vectors, special })
}
