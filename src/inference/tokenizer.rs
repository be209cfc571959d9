//! Texts to token ids: the preprocessor of models that read text.
//!
//! Takes the `tokenizer.json` of a model version and rows of text; gives flat [`Tokens`]. Only this file and `tokens`,
//! `normalizer` and `contain` beside it know the `tokenizers` crate.
//!
//! Texts go in as they are: sentence-transformers does not strip them either, and what a tokenizer does with case and
//! spaces is written in its own file.

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use debut_udfs::model::{Input, Stats};
use ort::value::Outlet;
use rayon::prelude::*;
use tokenizers::{
    DecoderWrapper, Encoding, ModelWrapper, PostProcessor, PostProcessorWrapper, PreTokenizerWrapper, Token,
    TokenizerImpl, TruncationDirection, TruncationParams, TruncationStrategy, truncate_encodings,
};

use super::Error;
use super::contain::contained;
use super::normalizer::{Bounded, within};
use super::prefix::prefix;
use super::preprocessor::{ChunkSize, Prepared, Preprocessor};
use super::tensor::Tensor;
use super::tokens::{PaddedTokens, TENSORS, Tokens};

/// The library's tokenizer, with a limit on what its normalizer may do.
type Inner = TokenizerImpl<ModelWrapper, Bounded, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// Texts up to this many bytes for every token that the model reads are tokenized whole.
const BYTES_PER_TOKEN: usize = 16;

/// A run of one kind of character is cut at this many times the bytes that are read at first.
const LONGEST_RUN: usize = 4;

/// Never look at less of a text than this.
const LEAST_BYTES: usize = 1024;

/// A beginning of a text is enough once it gives this many tokens more than the model reads: a word that was cut
/// at its end yields at most 100 pieces, the longest word that word piece tokenizers split.
const TOKENS_BEYOND: usize = 128;

/// Rows that are tokenized and sorted by length together: enough that padding between neighbours is small, few enough that
/// the session starts soon and that what is prepared takes little memory.
const CHUNK_ROWS: usize = 2048;

/// A chunk of long texts ends early.
const CHUNK_BYTES: usize = 4 << 20;

/// Rows that one thread tokenizes at a time.
const PIECE_ROWS: usize = 32;

/// A model's tokenizer: cuts at what the model reads and leaves padding to the batches.
#[derive(Debug, Clone)]
pub(crate) struct Tokenizer {
    model: String,
    path: PathBuf,
    inner: Inner,
    truncation: TruncationParams,
    max_tokens: usize,
    padding_id: u32,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of `model`, which reads at most `max_tokens` tokens.
    ///
    /// # Errors
    /// The file is gone, is no tokenizer, or its special tokens leave no room for a text.
    pub(crate) fn open(model: &str, path: &Path, max_tokens: usize) -> Result<Self, Error> {
        let failed = |source| Error::Tokenizer { model: model.to_string(), path: path.to_path_buf(), source };
        let json = fs::read(path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::Vanished { model: model.to_string(), path: path.to_path_buf(), source },
            _ => failed(source.into()),
        })?;
        let inner = contained(|| serde_json::from_slice::<Inner>(&json));
        let mut inner = inner.map_err(|panic| failed(panic.into()))?.map_err(|error| failed(error.into()))?;

        let added = inner.get_post_processor().map_or(0, |processor| processor.added_tokens(true));
        if max_tokens <= added {
            return Err(Error::NoRoom { model: model.to_string(), max_tokens, added });
        }
        let padding_id = match inner.get_padding() {
            Some(padding) => padding.pad_id,
            // The names of the BERT and RoBERTa families. A graph may tell padding by its id, so 0 is the last resort.
            None => ["[PAD]", "<pad>"].iter().find_map(|token| inner.token_to_id(token)).unwrap_or(0),
        };
        let direction = inner.get_truncation().map_or(TruncationDirection::Right, |truncation| truncation.direction);
        let truncation =
            TruncationParams { direction, strategy: TruncationStrategy::LongestFirst, ..Default::default() };
        inner.with_truncation(None).map_err(failed)?;
        inner.with_padding(None);
        let (model, path) = (model.to_owned(), path.to_path_buf());
        Ok(Self { model, path, inner, truncation, max_tokens, padding_id })
    }

    /// The id that fills up short rows.
    pub(crate) fn padding_id(&self) -> u32 {
        self.padding_id
    }

    /// One more than the largest id that it gives.
    pub(crate) fn ids(&self) -> usize {
        self.inner.get_vocab(true).values().max().map_or(0, |id| *id as usize + 1)
    }

    /// A text of this one token, or of none: its ids and their types, special tokens included.
    ///
    /// # Errors
    /// The tokenizer's file does not say how special tokens are added.
    pub(crate) fn of_token(&self, id: Option<u32>) -> Result<(Vec<u32>, Vec<u32>), Error> {
        let tokens = id.map(|id| Token::new(id, String::new(), (0, 0))).into_iter().collect();
        let encoding = self.finish(Encoding::from_tokens(tokens, 0), None).map_err(|source| Error::Tokenizer {
            model: self.model.clone(),
            path: self.path.clone(),
            source,
        })?;
        Ok((encoding.get_ids().to_vec(), encoding.get_type_ids().to_vec()))
    }

    /// Tokenizes `rows` of `input`, `prompt` in front of every text, on the threads of the caller's pool.
    ///
    /// Once `cancelled` says so, the rest is left out. The time of every thread is added to `stats`.
    pub(crate) fn encode(
        &self,
        input: &Input,
        rows: Range<usize>,
        prompt: &str,
        cancelled: impl Fn() -> bool + Sync,
        stats: &Stats,
    ) -> Tokens {
        let pieces: Vec<Tokens> = rows
            .clone()
            .into_par_iter()
            .step_by(PIECE_ROWS)
            .map(|start| {
                let started = Instant::now();
                let mut tokens = Tokens::default();
                for row in start..(start + PIECE_ROWS).min(rows.end) {
                    if cancelled() {
                        break;
                    }
                    // The library panics where a regular expression of its file takes too many steps on a text. It is
                    // only read while it tokenizes, so that other rows find it as it was.
                    let (text, encoding) = match input {
                        Input::Texts(texts) => {
                            let text = texts.value(row);
                            (text, contained(|| self.encode_text(prompt, text)))
                        }
                        Input::Pairs(left, right) => {
                            let (left, right) = (left.value(row), right.value(row));
                            (right, contained(|| self.encode_pair(prompt, left, right)))
                        }
                        Input::Bytes(_) | Input::TextAndBytes(..) => {
                            ("", Ok(Err("it reads text, and this is bytes".into())))
                        }
                    };
                    tokens.push(text, encoding.unwrap_or_else(|panic| Err(panic.into())));
                }
                Stats::add_time(&stats.preprocessor_nanos, started.elapsed());
                tokens
            })
            .collect();
        let mut all = Tokens::default();
        for piece in &pieces {
            all.append(piece);
        }
        all
    }

    fn encode_text(&self, prompt: &str, text: &str) -> Result<Encoding, tokenizers::Error> {
        self.finish(self.content(prompt, text)?, None)
    }

    fn encode_pair(&self, prompt: &str, left: &str, right: &str) -> Result<Encoding, tokenizers::Error> {
        let mut second = self.content(prompt, right)?;
        // It was tokenized as if it stood alone; not every post-processor says which side a token is on.
        second.set_type_ids(vec![1; second.len()]);
        self.finish(self.content(prompt, left)?, Some(second))
    }

    /// Cuts to what the model reads and adds the special tokens.
    fn finish(&self, mut first: Encoding, second: Option<Encoding>) -> Result<Encoding, tokenizers::Error> {
        let added = self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(second.is_some()));
        let truncation = TruncationParams { max_length: self.max_tokens - added, ..self.truncation.clone() };
        let mut second = second;
        (first, second) = truncate_encodings(first, second, &truncation)?;
        // What was cut off would be carried along in pieces of its own, for a pair in all combinations.
        first.take_overflowing();
        if let Some(second) = &mut second {
            second.take_overflowing();
        }
        self.inner.post_process(first, second, true)
    }

    /// The tokens of `prompt` and `text`, without special tokens and not yet cut: all of them, or those of a beginning
    /// that the model cannot tell from the whole.
    ///
    /// The beginning grows until tokens are left over behind those that the model reads, so that a ten-megabyte text
    /// costs no more than a long one.
    fn content(&self, prompt: &str, text: &str) -> Result<Encoding, tokenizers::Error> {
        let text = if prompt.is_empty() { Cow::Borrowed(text) } else { Cow::Owned([prompt, text].concat()) };
        let mut bytes = (BYTES_PER_TOKEN * self.max_tokens).max(LEAST_BYTES);
        let longest_run = LONGEST_RUN * bytes;
        while text.len() > bytes && self.truncation.direction == TruncationDirection::Right {
            let prefix = prefix(&text, bytes, longest_run);
            let encoding = self.tokenize(&prefix.text)?;
            if prefix.complete || encoding.len() >= self.max_tokens + TOKENS_BEYOND {
                return Ok(encoding);
            }
            bytes *= 4;
        }
        self.tokenize(&text)
    }

    fn tokenize(&self, text: &str) -> Result<Encoding, tokenizers::Error> {
        within(text, || self.inner.encode_fast(text, false))
    }
}

impl Preprocessor for Tokenizer {
    fn makes(&self) -> String {
        format!("{}, as int64 or int32", TENSORS.join(", "))
    }

    fn tensor(&self, input: &Outlet) -> Option<Tensor> {
        if TENSORS.contains(&input.name()) { Tensor::of(input) } else { None }
    }

    fn chunk(&self) -> ChunkSize {
        ChunkSize { rows: CHUNK_ROWS, bytes: CHUNK_BYTES }
    }

    fn prepare(
        &self,
        input: &Input,
        rows: Range<usize>,
        prompt: &str,
        cancelled: &(dyn Fn() -> bool + Sync),
        stats: &Stats,
    ) -> Box<dyn Prepared> {
        Box::new(PaddedTokens {
            tokens: self.encode(input, rows, prompt, cancelled, stats),
            padding_id: self.padding_id,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::path::PathBuf;
    use std::sync::LazyLock;

    use arrow::array::{BinaryViewArray, StringArray};
    use proptest::prelude::*;

    use super::*;

    /// Word piece, byte-level and unigram tokenizers.
    const MODELS: [&str; 4] = ["bert-mean-normalize", "mpnet-mean", "roberta-mean", "xlm-roberta-mean"];

    static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| MODELS.map(|model| open(model, 64)).to_vec());

    fn path(model: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/models").join(model).join("tokenizer.json")
    }

    fn open(model: &str, max_tokens: usize) -> Tokenizer {
        Tokenizer::open(model, &path(model), max_tokens).unwrap()
    }

    /// The tokenizers library's own way: everything is tokenized, then cut.
    fn whole(tokenizer: &Tokenizer) -> Inner {
        let mut inner = tokenizer.inner.clone();
        let truncation = TruncationParams { max_length: tokenizer.max_tokens, ..tokenizer.truncation.clone() };
        inner.with_truncation(Some(truncation)).unwrap();
        inner
    }

    fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        tokenizer.encode_text("", text).unwrap().get_ids().to_vec()
    }

    fn fragment() -> impl Strategy<Value = String> {
        prop_oneof![
            8 => "[a-zA-Z]{1,12} ",
            2 => "[a-z0-9]{1,6}[.,;:!?'\"-]{1,3} ",
            1 => "[\u{4e00}-\u{4fff}]{1,40}",
            1 => "\\PC{1,30}",
            1 => (1usize..6000).prop_map(|length| "x".repeat(length)),
            1 => (1usize..6000).prop_map(|length| " ".repeat(length)),
            1 => (1usize..6000).prop_map(|length| "-".repeat(length)),
            1 => Just("\t\r\n\u{3000}\u{200b}".to_string()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_beginning_gives_the_tokens_of_the_whole(
            fragments in prop::collection::vec(fragment(), 1..60),
            max_tokens in 8usize..64,
        ) {
            let text = fragments.concat();
            for tokenizer in TOKENIZERS.iter() {
                let mut tokenizer = tokenizer.clone();
                tokenizer.max_tokens = max_tokens;
                let library = whole(&tokenizer);
                let found = tokenizer.encode_text("", &text).unwrap();
                let wanted = library.encode_fast(text.as_str(), true).unwrap();
                prop_assert_eq!(found.get_ids(), wanted.get_ids());
                // The library keeps what it cuts off, for two long texts in all combinations: only one may be long here.
                for (left, right) in [(text.as_str(), "a short one"), ("short", &text)] {
                    let found = tokenizer.encode_pair("", left, right).unwrap();
                    let wanted = library.encode_fast((left, right), true).unwrap();
                    prop_assert_eq!(found.get_ids(), wanted.get_ids());
                    prop_assert_eq!(found.get_type_ids(), wanted.get_type_ids());
                }
            }
        }
    }

    #[test]
    fn what_follows_a_long_word_without_a_space_is_read() {
        for end in ["猫猫猫猫 a mug", "— a mug", "\u{20000}猫— the end of it"] {
            let text = "x".repeat(6000) + end;
            for tokenizer in TOKENIZERS.iter() {
                let wanted = whole(tokenizer).encode_fast(text.as_str(), true).unwrap();
                assert_eq!(ids(tokenizer, &text), wanted.get_ids(), "{end}");
            }
        }
    }

    #[test]
    fn two_long_texts_share_what_the_model_reads() {
        let (left, right) = ("a silver spoon, ".repeat(150), "the red mug! ".repeat(100));
        for tokenizer in TOKENIZERS.iter() {
            let library = whole(tokenizer);
            for (left, right) in [(&left, &right), (&right, &left)] {
                let found = tokenizer.encode_pair("", left, right).unwrap();
                let wanted = library.encode_fast((left.as_str(), right.as_str()), true).unwrap();
                assert_eq!(found.get_ids(), wanted.get_ids());
                assert_eq!(found.get_type_ids(), wanted.get_type_ids());
                assert_eq!(found.len(), 64);
            }
        }
    }

    #[test]
    fn ten_megabytes_are_not_read_whole() {
        let size = 10 << 20;
        for (model, tokenizer) in MODELS.iter().zip(TOKENIZERS.iter()) {
            for unit in ["a mug ", "x", " ", "-", "猫", "\u{200b}"] {
                let text = unit.repeat(size / unit.len());
                let tokens = tokenizer.content("", &text).unwrap().len();
                assert!(
                    tokens <= LONGEST_RUN * BYTES_PER_TOKEN * tokenizer.max_tokens,
                    "{model} makes {tokens} tokens of '{unit}'"
                );
            }
        }
    }

    #[test]
    fn what_follows_a_giant_word_is_read() {
        let tokenizer = open("bert-mean-normalize", 48);
        let long = format!("{} red mug", "x".repeat(1 << 20));
        assert_eq!(ids(&tokenizer, &long), ids(&tokenizer, &format!("{} red mug", "x".repeat(200))));
    }

    #[test]
    fn rows_come_back_in_order_with_their_prompt() {
        let tokenizer = open("bert-mean-normalize", 32);
        let texts: Vec<String> = (0..3 * PIECE_ROWS + 5).map(|row| "mug ".repeat(row % 40)).collect();
        let input = Input::Texts(StringArray::from_iter_values(&texts));
        let stats = Stats::default();
        let rows = 3..texts.len();
        let tokens = tokenizer.encode(&input, rows.clone(), "red ", || false, &stats);
        assert_eq!(tokens.rows(), rows.len());
        for row in rows {
            assert_eq!(tokens.ids(row - 3), ids(&tokenizer, &format!("red {}", texts[row])));
        }
        assert!((0..tokens.rows()).all(|row| (3..=32).contains(&tokens.ids(row).len())));
        assert!(stats.preprocessor_nanos.load(std::sync::atomic::Ordering::Relaxed) > 0);
    }

    /// A tokenizer of the reference models with another normalizer.
    fn with_normalizer(model: &str, normalizer: serde_json::Value) -> Tokenizer {
        let mut json: serde_json::Value = serde_json::from_slice(&fs::read(path(model)).unwrap()).unwrap();
        json["normalizer"] = normalizer;
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), json.to_string()).unwrap();
        Tokenizer::open("m@1", file.path(), 64).unwrap()
    }

    fn encode(tokenizer: &Tokenizer, input: &Input) -> Tokens {
        tokenizer.encode(input, 0..input.rows(), "", || false, &Stats::default())
    }

    #[test]
    fn a_panic_of_the_library_is_the_failure_of_its_row() {
        // Exponential in the length of a run of "a": the library's regular expressions give up with a panic.
        let regex = serde_json::json!({"type": "Replace", "pattern": {"Regex": "(a|aa)+$"}, "content": "x"});
        let tokenizer = with_normalizer("bert-mean-normalize", regex);
        let bad = format!("{}!", "a".repeat(300));
        let texts = Input::Texts(StringArray::from(vec!["a mug", &bad, "b mug"]));
        let tokens = encode(&tokenizer, &texts);
        let [(1, reason)] = tokens.failures() else { panic!("{:?}", tokens.failures()) };
        assert!(reason.contains("on 'aaaaaaaa") && reason.contains("...' (301 bytes)"), "{reason}");
        assert!(reason.contains("retry-limit"), "{reason}");
        assert!(tokens.ids(1).is_empty() && tokens.ids(2) == ids(&tokenizer, "b mug"));

        let pairs = StringArray::from(vec![bad.as_str(), "b", "c"]);
        let pairs = encode(&tokenizer, &Input::Pairs(StringArray::from(vec!["a", &bad, "c"]), pairs));
        assert_eq!(pairs.failures().iter().map(|(row, _)| *row).collect::<Vec<_>>(), [0, 1]);
        assert!(!pairs.ids(2).is_empty());
    }

    #[test]
    fn a_normalizer_makes_no_text_too_long() {
        let megabyte = "x".repeat(1 << 20);
        let replace = |pattern: serde_json::Value, content: &str| {
            serde_json::json!({
                "type": "Replace", "pattern": pattern, "content": content
            })
        };
        let prepend = serde_json::json!({"type": "Prepend", "prepend": "xxxx"});
        let (empty, letter, any) =
            (serde_json::json!({"String": ""}), serde_json::json!({"String": "a"}), serde_json::json!({"Regex": "."}));
        let doubled = vec![replace(any.clone(), "xx"); 24];
        for normalizer in [
            replace(empty, &megabyte),
            replace(letter, &megabyte),
            replace(any, &megabyte),
            serde_json::json!({"type": "Sequence", "normalizers": doubled}),
            serde_json::json!({"type": "Sequence", "normalizers": [
                {"type": "Sequence", "normalizers": [prepend]}, {"type": "Prepend", "prepend": megabyte.repeat(2)},
            ]}),
        ] {
            let tokenizer = with_normalizer("bert-mean-normalize", normalizer);
            let texts = Input::Texts(StringArray::from(vec!["a red mug and a spade".repeat(300), String::new()]));
            let tokens = encode(&tokenizer, &texts);
            let (_, reason) = &tokens.failures()[0];
            assert!(
                reason.contains("its normalizer makes ") && reason.contains(" is the most that it may"),
                "{reason}"
            );
        }
    }

    #[test]
    fn bytes_are_no_text() {
        let bytes = Input::Bytes(BinaryViewArray::from(vec![&b"a mug"[..], b""]));
        let tokens = encode(&open("bert-mean-normalize", 8), &bytes);
        assert!(tokens.rows() == 2 && tokens.ids(0).is_empty() && tokens.ids(1).is_empty());
        let [(0, reason), (1, _)] = tokens.failures() else { panic!("{:?}", tokens.failures()) };
        assert!(reason.contains("it reads text"), "{reason}");
    }

    #[test]
    fn padding_ids_are_those_of_the_family() {
        assert_eq!(open("bert-mean-normalize", 8).padding_id(), 0);
        assert_eq!(open("roberta-mean", 8).padding_id(), 1);
        assert_eq!(open("xlm-roberta-mean", 8).padding_id(), 1);
    }

    #[test]
    fn errors_name_the_file_and_the_model() {
        let missing = Tokenizer::open("m@1", Path::new("/nowhere/tokenizer.json"), 8).unwrap_err();
        assert!(matches!(missing, Error::Vanished { .. }));
        assert!(missing.to_string().contains("/nowhere/tokenizer.json"), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "{\"model\": 1}").unwrap();
        let foreign = Tokenizer::open("m@1", file.path(), 8).unwrap_err();
        assert!(foreign.to_string().contains("m@1"), "{foreign}");
        let crowded = Tokenizer::open("m@1", &path("bert-mean-normalize"), 3).unwrap_err();
        assert!(matches!(crowded, Error::NoRoom { added: 3, .. }), "{crowded}");
    }
}
