//! The registry as a whole, over the small models of `tests/reference`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::process::Command;

use debut_udfs::model::{Modality, Task};
use tempfile::TempDir;

use super::manifest::{OutputKind, Pooling};
use super::*;
use crate::fetch::silent;

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/models").join(name)
}

/// A copy of a reference model, to be damaged.
fn copy_of(name: &str) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                copy(&entry.path(), &to.join(entry.file_name()));
            } else {
                files::copy(&entry.path(), &to.join(entry.file_name())).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&reference(name), folder.path());
    folder
}

fn registry() -> (TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(&Home::at(folder.path().join("home")));
    (folder, registry)
}

fn import(registry: &Registry, name: &str, from: &Path) -> Result<ModelVersion> {
    registry.import(name, from.to_str().unwrap(), &ImportOptions::default(), &silent)
}

/// The message of an import that must fail and leave nothing behind.
fn refused(from: &Path) -> String {
    let (_folder, registry) = registry();
    let message = import(&registry, "m", from).unwrap_err().to_string();
    assert!(registry.list().unwrap().is_empty());
    if registry.home().models().exists() {
        assert_eq!(fs::read_dir(registry.home().models()).unwrap().count(), 0, "{message}");
    }
    message
}

fn edit(path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let mut json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

#[test]
fn a_checkpoint_becomes_a_version() {
    let (_folder, registry) = registry();
    let model = import(&registry, "shop/m", &reference("bert-mean-normalize")).unwrap();
    assert_eq!(model.reference(), "shop/m@1");
    assert!(model.path.ends_with("models/models--shop--m/snapshots/1"));
    let manifest = &model.manifest;
    assert_eq!((manifest.task, manifest.dimension, manifest.max_tokens), (Task::Embedding, 32, 48));
    assert_eq!((manifest.pooling, manifest.normalize), (Pooling::Mean, true));
    assert_eq!((manifest.output.kind, manifest.architecture.as_str()), (OutputKind::TokenEmbeddings, "bert"));
    let weights = files::sha256(&reference("bert-mean-normalize").join("model.safetensors")).unwrap();
    assert_eq!(manifest.weights_sha256, weights);
    assert_eq!(manifest.fingerprint.len(), 16);
    assert!(model.graph().is_file() && model.tokenizer().is_file());
    assert_eq!(registry.resolve("shop/m").unwrap(), model);
    assert_eq!(registry.resolve("shop/m@1").unwrap(), model);
    assert_eq!(fs::read_to_string(registry.home().models().join("models--shop--m/refs/main")).unwrap(), "1");
}

#[test]
fn every_reference_checkpoint_is_imported() {
    let (_folder, registry) = registry();
    let mut fingerprints = BTreeSet::new();
    let mut count = 0;
    for entry in fs::read_dir(reference("")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if !folder.join("model.safetensors").is_file() {
            continue;
        }
        let model = import(&registry, &name, &folder).unwrap();
        let task = if name.ends_with("cross-encoder") { Task::CrossEncoder } else { Task::Embedding };
        assert_eq!(model.manifest.task, task, "{name}");
        assert_eq!(model.manifest.dimension, if task == Task::Embedding { 32 } else { 0 }, "{name}");
        assert!(fingerprints.insert(model.manifest.fingerprint.clone()), "{name}");
        count += 1;
    }
    assert!(count >= 10, "{count} reference models");
    assert_eq!(registry.list().unwrap().len(), count);
    let pooling = |name: &str| registry.resolve(name).unwrap().manifest.pooling;
    assert_eq!((pooling("bert-cls"), pooling("bert-max")), (Pooling::Cls, Pooling::Max));
    let prompts = registry.resolve("e5-prompts").unwrap().manifest.prompts;
    assert_eq!(prompts["query"], "query: ");
}

#[test]
fn exports_are_imported_as_they_are() {
    let (_folder, registry) = registry();
    let of = |name: &str| import(&registry, name, &reference(name)).unwrap();
    let hidden = of("onnx-last-hidden");
    assert_eq!(hidden.manifest.output.name, "last_hidden_state");
    assert_eq!(hidden.manifest.output.kind, OutputKind::TokenEmbeddings);
    assert_eq!((hidden.manifest.dimension, hidden.manifest.max_tokens), (32, 48));
    assert_eq!(fs::read(hidden.graph()).unwrap(), fs::read(reference("onnx-last-hidden/onnx/model.onnx")).unwrap());

    assert_eq!(of("onnx-sentence-embedding").manifest.output.kind, OutputKind::SentenceEmbedding);
    assert_eq!(of("onnx-no-token-types").manifest.dimension, 32);
    let cross = of("onnx-cross-encoder").manifest;
    assert_eq!((cross.task, cross.output.kind, cross.dimension), (Task::CrossEncoder, OutputKind::Logits, 0));

    let external = of("onnx-external");
    let data = fs::read(reference("onnx-external/model.onnx.data")).unwrap();
    assert_eq!(fs::read(external.path.join("onnx/model.onnx.data")).unwrap(), data);

    // The file itself may be named as well.
    let by_file = import(&registry, "by-file", &reference("onnx-last-hidden/onnx/model.onnx")).unwrap();
    assert_eq!(by_file.manifest.output, hidden.manifest.output);
    assert_eq!(by_file.manifest.max_tokens, 48);
}

#[test]
fn outside_data_may_not_leave_the_folder() {
    let message = refused(&reference("onnx-escaping"));
    assert!(message.contains("outside of the model's folder"), "{message}");
}

#[test]
fn the_same_content_is_not_imported_twice() {
    let (_folder, registry) = registry();
    let first = import(&registry, "m", &reference("bert-mean-normalize")).unwrap();
    let second = import(&registry, "m", &reference("bert-max")).unwrap();
    assert_eq!((first.version.as_str(), second.version.as_str()), ("1", "2"));
    assert_eq!(registry.resolve("m").unwrap(), second);

    let notes = std::sync::Mutex::new(Vec::new());
    let note = |text: &str| notes.lock().unwrap().push(text.to_owned());
    let from = reference("bert-mean-normalize");
    let again = registry.import("m", from.to_str().unwrap(), &ImportOptions::default(), &note).unwrap();
    assert_eq!(again, first);
    assert!(notes.lock().unwrap().iter().any(|note| note.contains("m@1 already")));
    // The user asked for m to be this model.
    assert_eq!(registry.resolve("m").unwrap(), first);

    let shorter = ImportOptions { max_tokens: Some(16), ..ImportOptions::default() };
    let third = registry.import("m", from.to_str().unwrap(), &shorter, &silent).unwrap();
    assert_eq!((third.version.as_str(), third.manifest.max_tokens), ("3", 16));
    assert_ne!(third.manifest.fingerprint, first.manifest.fingerprint);
}

#[test]
fn removing_leaves_the_newest_in_use_and_gives_no_number_twice() {
    let (_folder, registry) = registry();
    for name in ["bert-mean-normalize", "bert-max", "bert-cls"] {
        import(&registry, "m", &reference(name)).unwrap();
    }
    registry.remove("m@1", &silent).unwrap();
    assert_eq!(registry.resolve("m").unwrap().version, "3");
    registry.remove("m@3", &silent).unwrap();
    assert_eq!(registry.resolve("m").unwrap().version, "2");
    let message = registry.resolve("m@3").unwrap_err().to_string();
    assert!(message.contains("m@2"), "{message}");
    assert_eq!(import(&registry, "m", &reference("mpnet-mean")).unwrap().version, "4");
    registry.remove("m", &silent).unwrap();
    assert!(registry.list().unwrap().is_empty());
    assert!(matches!(registry.remove("m", &silent), Err(Error::Unknown { .. })));
    assert_eq!(fs::read_dir(registry.home().models()).unwrap().count(), 0);

    // The model is gone, and what its numbers stood for is not forgotten.
    assert_eq!(import(&registry, "m", &reference("e5-prompts")).unwrap().version, "5");
    let again = import(&registry, "m", &reference("bert-max")).unwrap();
    assert_eq!(again.version, "2");
    assert_eq!(registry.resolve("m").unwrap(), again);
    registry.remove("m@2", &silent).unwrap();
    registry.remove("m@5", &silent).unwrap();
    assert_eq!(fs::read_dir(registry.home().models()).unwrap().count(), 0);
    assert_eq!(import(&registry, "other", &reference("bert-max")).unwrap().version, "1");
}

#[test]
fn numbers_of_before_are_kept() {
    let (_folder, registry) = registry();
    for name in ["bert-max", "bert-cls"] {
        import(&registry, "m", &reference(name)).unwrap();
    }
    // A home that was made before numbers were written down, whose newest version is gone.
    fs::remove_dir_all(registry.home().versions()).unwrap();
    let folder = registry.home().models().join("models--m");
    fs::write(folder.join("refs/last"), "7").unwrap();
    registry.remove("m", &silent).unwrap();
    assert_eq!(import(&registry, "m", &reference("mpnet-mean")).unwrap().version, "8");
    assert_eq!(import(&registry, "m", &reference("bert-cls")).unwrap().version, "2");

    // A folder that was removed by hand.
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(import(&registry, "m", &reference("bert-mean-normalize")).unwrap().version, "9");

    // A record that was edited is not guessed at.
    let record = registry.home().versions().join("models--m");
    let written = fs::read_to_string(&record).unwrap();
    fs::write(&record, format!("{written}next one\n")).unwrap();
    let message = import(&registry, "m", &reference("bert-max")).unwrap_err().to_string();
    assert!(message.contains("models--m") && message.contains("'next one'"), "{message}");
    assert!(registry.remove("m", &silent).is_err());
    assert_eq!(registry.resolve("m").unwrap().version, "9");
}

/// Every state in which a process may die while it publishes, made on disk.
#[test]
fn what_a_crash_leaves_is_whole_or_not_there() {
    let (_folder, registry) = registry();
    let home = registry.home().clone();
    let (model, record) = (home.models().join("models--m"), home.versions().join("models--m"));
    let unknown = |registry: &Registry| matches!(registry.resolve("m"), Err(Error::Unknown { .. }));
    let first = || import(&registry, "m", &reference("bert-max")).unwrap();
    first();
    let in_use = |version: &str| {
        assert_eq!(registry.resolve("m").unwrap().version, version);
        let listed = registry.list().unwrap();
        let current = listed.iter().filter(|listed| listed.current).map(|listed| listed.version.as_str());
        assert_eq!(current.collect::<Vec<_>>(), [version]);
        assert!(listed.iter().all(|listed| listed.model.is_ok()));
    };

    // The content is being written; so is the record of its number.
    fs::remove_dir_all(&model).unwrap();
    fs::remove_file(&record).unwrap();
    let (half, beside) = (home.models().join(".unfinished-models--m+x"), home.versions().join(".unfinished-x"));
    fs::create_dir_all(half.join("onnx")).unwrap();
    fs::write(&beside, "1").unwrap();
    assert!(unknown(&registry) && registry.list().unwrap().is_empty());
    assert_eq!(first().version, "1");
    assert!(!half.exists());

    // Its number is written down, and perhaps the folder is there that it goes to.
    fs::remove_dir_all(&model).unwrap();
    for _ in 0..2 {
        assert!(unknown(&registry) && registry.list().unwrap().is_empty());
        assert!(matches!(registry.remove("m", &silent), Err(Error::Unknown { .. })));
        let message = registry.resolve("n").unwrap_err().to_string();
        assert!(message.contains("none is installed"), "{message}");
        fs::create_dir_all(model.join("snapshots")).unwrap();
    }
    // Other content does not get that number.
    assert_eq!(import(&registry, "m", &reference("bert-cls")).unwrap().version, "2");
    assert_eq!(first().version, "1");
    in_use("1");
    registry.remove("m@2", &silent).unwrap();

    // The first version is in its place, and nothing says that it is in use.
    for half_written in [false, true] {
        fs::remove_dir_all(model.join("refs")).unwrap();
        if half_written {
            fs::create_dir(model.join("refs")).unwrap();
            fs::write(model.join("refs/.unfinished-x"), "").unwrap();
        }
        in_use("1");
        assert_eq!(registry.in_use("m").unwrap().unwrap().version, "1");
        assert_eq!(first().version, "1");
        assert_eq!(fs::read_to_string(model.join("refs/main")).unwrap(), "1");
    }
    fs::remove_dir_all(model.join("refs")).unwrap();
    assert_eq!(import(&registry, "m", &reference("bert-cls")).unwrap().version, "2");
    in_use("2");

    // A second version is in its place, and the first is still in use.
    fs::write(model.join("refs/main"), "1").unwrap();
    in_use("1");
    assert_eq!(import(&registry, "m", &reference("bert-cls")).unwrap().version, "2");
    in_use("2");

    // A removal: another is in use already, or the folder has its last name.
    fs::write(model.join("refs/main"), "1").unwrap();
    fs::rename(model.join("snapshots/2"), model.join("snapshots/.unfinished-2.removed")).unwrap();
    in_use("1");
    registry.remove("m@1", &silent).unwrap();
    assert!(unknown(&registry) && !model.exists());
    assert_eq!(import(&registry, "m", &reference("mpnet-mean")).unwrap().version, "3");
}

#[test]
fn an_unknown_model_is_answered_with_what_there_is() {
    let (_folder, registry) = registry();
    let message = registry.resolve("anything").unwrap_err().to_string();
    assert!(message.contains("CREATE MODEL"), "{message}");
    import(&registry, "catalogue", &reference("bert-max")).unwrap();
    let message = registry.resolve("catalog").unwrap_err().to_string();
    assert!(message.contains("did you mean 'catalogue'"), "{message}");
    let message = registry.resolve("other").unwrap_err().to_string();
    assert!(message.contains("the models are catalogue"), "{message}");
    let message = registry.resolve("../catalogue").unwrap_err().to_string();
    assert!(message.contains("cannot name a model"), "{message}");
}

#[test]
fn damaged_versions_are_told_and_do_not_hide_others() {
    let (_folder, registry) = registry();
    let junk = import(&registry, "junk", &reference("bert-max")).unwrap();
    let gone = import(&registry, "gone", &reference("bert-cls")).unwrap();
    import(&registry, "whole", &reference("mpnet-mean")).unwrap();
    fs::write(junk.path.join(MANIFEST), "{\"task\": ").unwrap();
    fs::remove_file(gone.graph()).unwrap();

    let message = registry.resolve("junk").unwrap_err().to_string();
    assert!(message.contains("junk@1") && message.contains(MANIFEST) && message.contains("DROP MODEL"), "{message}");
    let message = registry.resolve("gone").unwrap_err().to_string();
    assert!(message.contains("model.onnx") && message.contains("import it again"), "{message}");
    let listed = registry.list().unwrap();
    let whole = listed.iter().map(|listed| (listed.name.as_str(), listed.model.is_ok())).collect::<Vec<_>>();
    assert_eq!(whole, [("gone", false), ("junk", false), ("whole", true)]);

    // Importing again helps: the damaged version is not taken for the same.
    assert_eq!(import(&registry, "gone", &reference("bert-cls")).unwrap().version, "2");
    registry.remove("junk", &silent).unwrap();
    fs::remove_dir_all(registry.resolve("whole").unwrap().path).unwrap();
    assert!(registry.resolve("whole").is_err());
    assert_eq!(registry.list().unwrap().len(), 2);
}

#[test]
fn a_version_says_what_it_reads_and_without_a_word_it_is_text() {
    let (_folder, registry) = registry();
    let version = import(&registry, "m", &reference("bert-max")).unwrap();
    let manifest = version.path.join(MANIFEST);
    assert!(!fs::read_to_string(&manifest).unwrap().contains("modality"));
    assert_eq!(registry.resolve("m").unwrap().info().modality, Modality::Text);
    edit(&manifest, |manifest| manifest["modality"] = "bytes".into());
    let message = registry.resolve("m").unwrap_err().to_string();
    assert!(message.contains("damaged") && message.contains("preprocessor_config.json"), "{message}");
    fs::write(version.path.join("preprocessor_config.json"), "{}").unwrap();
    assert_eq!(registry.resolve("m").unwrap().info().modality, Modality::Bytes);
    edit(&manifest, |manifest| manifest["modality"] = "smells".into());
    let message = registry.resolve("m").unwrap_err().to_string();
    assert!(message.contains("m@1") && message.contains("unknown modality 'smells'"), "{message}");
}

#[test]
fn truncated_and_foreign_files_are_named() {
    let cut = |folder: &TempDir, file: &str| {
        let path = folder.path().join(file);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
    };
    for (model, file) in [
        ("bert-max", "model.safetensors"),
        ("bert-max", "tokenizer.json"),
        ("bert-max", "config.json"),
        ("bert-max", "modules.json"),
        ("bert-max", "1_Pooling/config.json"),
        ("onnx-last-hidden", "onnx/model.onnx"),
        ("onnx-external", "model.onnx.data"),
    ] {
        let folder = copy_of(model);
        cut(&folder, file);
        let message = refused(folder.path());
        assert!(message.contains(file), "{file}: {message}");
    }
    for (file, content) in [
        ("model.safetensors", "<html>not found</html>"),
        ("tokenizer.json", "{\"model\": 1}"),
        ("config.json", "[]"),
        ("config.json", "{\"model_type\": \"gpt2\"}"),
    ] {
        let folder = copy_of("bert-max");
        fs::write(folder.path().join(file), content).unwrap();
        let message = refused(folder.path());
        assert!(message.contains(file) || message.contains("gpt2"), "{file}: {message}");
    }
    let folder = copy_of("onnx-last-hidden");
    fs::write(folder.path().join("onnx/model.onnx"), "not a graph").unwrap();
    assert!(refused(folder.path()).contains("model.onnx"));
}

#[test]
fn what_is_missing_is_said_with_a_cure() {
    let folder = copy_of("bert-max");
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    assert!(refused(folder.path()).contains("save_pretrained"));

    let folder = copy_of("bert-max");
    fs::rename(folder.path().join("model.safetensors"), folder.path().join("pytorch_model.bin")).unwrap();
    assert!(refused(folder.path()).contains("pytorch_model.bin"));

    let message = refused(Path::new("no-such-owner/no-such-model"));
    assert!(message.contains("'hf:no-such-owner/no-such-model'"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    assert!(refused(folder.path()).contains("neither weights (model.safetensors"));
    fs::write(folder.path().join("x.txt"), "").unwrap();
    assert!(refused(&folder.path().join("x.txt")).contains("neither a folder nor"));
}

#[test]
fn settings_that_would_change_results_are_refused() {
    let changed = |file: &str, change: fn(&mut serde_json::Value)| {
        let folder = copy_of("bert-mean-normalize");
        edit(&folder.path().join(file), change);
        refused(folder.path())
    };
    let message = changed("1_Pooling/config.json", |json| json["pooling_mode_cls_token"] = true.into());
    assert!(message.contains("several poolings at once (cls, mean)"), "{message}");
    let message = changed("1_Pooling/config.json", |json| *json = serde_json::json!({"pooling_mode": "weightedmean"}));
    assert!(message.contains("weightedmean"), "{message}");
    let message = changed("modules.json", |json| json[2]["type"] = "sentence_transformers.models.Dense".into());
    assert!(message.contains("Dense as module 2"), "{message}");
    let message = changed("modules.json", |json| json[1]["path"] = "../1_Pooling".into());
    assert!(message.contains("leads out"), "{message}");
    let message = changed("config.json", |json| json["vocab_size"] = 10.into());
    assert!(message.contains("10"), "{message}");
    let message = changed("sentence_bert_config.json", |json| json["max_seq_length"] = "long".into());
    assert!(message.contains("max_seq_length"), "{message}");
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let folder = copy_of("onnx-last-hidden");
    edit(&folder.path().join("config.json"), |json| json["vocab_size"] = 100.into());
    let message = refused(folder.path());
    assert!(message.contains("tokenizer.json") && message.contains("belongs to another model"), "{message}");
}

#[test]
fn newer_names_of_settings_are_read() {
    let (_home, registry) = registry();
    let folder = copy_of("bert-mean-normalize");
    let new = serde_json::json!({"embedding_dimension": 32, "pooling_mode": "lasttoken", "include_prompt": true});
    fs::write(folder.path().join("1_Pooling/config.json"), new.to_string()).unwrap();
    edit(&folder.path().join("modules.json"), |json| {
        json[0]["type"] = "sentence_transformers.base.modules.transformer.Transformer".into();
    });
    let manifest = import(&registry, "m", folder.path()).unwrap().manifest;
    assert_eq!(manifest.pooling, Pooling::LastToken);
}

#[test]
fn options_are_held_against_the_model() {
    let (_folder, registry) = registry();
    let with =
        |name: &str, options: ImportOptions| registry.import("m", reference(name).to_str().unwrap(), &options, &silent);
    let long = ImportOptions { max_tokens: Some(1000), ..ImportOptions::default() };
    let message = with("bert-max", long).unwrap_err().to_string();
    assert!(message.contains("1000") && message.contains("positions for 64"), "{message}");
    let cls = ImportOptions { pooling: Some(Pooling::Cls), ..ImportOptions::default() };
    assert_eq!(with("bert-max", cls.clone()).unwrap().manifest.pooling, Pooling::Cls);
    assert!(with("bert-cross-encoder", cls).unwrap_err().to_string().contains("no pooling"));
}

#[test]
fn offline_nothing_is_fetched_and_the_error_says_what_to_do() {
    let (_folder, registry) = registry();
    let message = registry.resolve_or_install("all-MiniLM-L6-v2", true, &silent).unwrap_err().to_string();
    assert!(message.contains("debut.offline") && message.contains("CREATE MODEL"), "{message}");
    assert!(!registry.home().root().exists());
    let offline = ImportOptions { offline: true, ..ImportOptions::default() };
    let message = registry.import("m", "hf:owner/name", &offline, &silent).unwrap_err().to_string();
    assert!(message.contains("hf:owner/name"), "{message}");
    // Only the default model comes by itself.
    assert!(matches!(registry.resolve_or_install("other", true, &silent), Err(Error::Unknown { .. })));
}

#[test]
fn threads_that_import_at_once_publish_whole_versions() {
    let (_folder, registry) = registry();
    let models = ["bert-max", "bert-cls", "mpnet-mean", "bert-max"];
    std::thread::scope(|scope| {
        for model in models {
            let registry = &registry;
            scope.spawn(move || import(registry, "m", &reference(model)).unwrap());
        }
    });
    let listed = registry.list().unwrap();
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|listed| listed.model.is_ok()));
    assert_eq!(listed.iter().filter(|listed| listed.current).count(), 1);
}

/// The home of the test below, for its children.
const CHILD_HOME: &str = "DEBUT_TEST_CHILD_HOME";

#[test]
fn processes_that_import_the_same_model_import_it_once() {
    if let Ok(home) = std::env::var(CHILD_HOME) {
        import(&Registry::open(&Home::at(home)), "m", &reference("bert-max")).unwrap();
        return;
    }
    let (_folder, registry) = registry();
    let name = "registry::tests::processes_that_import_the_same_model_import_it_once";
    let children = (0..3).map(|_| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name]).env(CHILD_HOME, registry.home().root());
        command.spawn().unwrap()
    });
    for mut child in children.collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    let listed = registry.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].model.as_ref().unwrap().version, "1");
    assert_eq!(fs::read_dir(registry.home().models()).unwrap().count(), 1);
}

#[test]
fn the_same_content_is_one_version_wherever_it_was_built() {
    let (_folder, registry) = registry();
    let base = import(&registry, "base", &reference("bert-mean-normalize")).unwrap();
    let publish = |numbers: &str| {
        let build = |candidate: &mut Candidate| {
            candidate.numbers = vec!["beside/numbers".into()];
            let path = candidate.folder().join(&candidate.numbers[0]);
            files::create_folder(path.parent().unwrap())?;
            files::write(&path, numbers.as_bytes())?;
            candidate.copy_graph(&base)
        };
        let published = registry.publish_trained("trained", &base, &silent, build, |_, _| Ok::<_, Error>(true));
        published.unwrap().unwrap().reference()
    };
    assert_eq!(["1", "1", "2", "1"].map(publish), ["trained@1", "trained@1", "trained@2", "trained@1"]);
}

/// A reference model of pictures (`tests/reference/make_vision.py`).
fn picture_reference(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/vision").join(name)
}

#[test]
fn checkpoints_of_pictures_become_versions_that_say_so() {
    let (_folder, registry) = registry();
    for entry in fs::read_dir(picture_reference("")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let expected: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let model = import(&registry, name, &folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        let manifest = &model.manifest;
        assert_eq!((manifest.task, manifest.modality), (Task::Embedding, Modality::Bytes), "{name}");
        assert_eq!(manifest.dimension, expected["embeddings"][0].as_array().unwrap().len(), "{name}");
        let size = manifest.picture.unwrap();
        assert_eq!(serde_json::json!([size.height, size.width]), expected["size"], "{name}");
        let texts = ["clip", "siglip"].contains(&name);
        assert_eq!(manifest.text_tower.is_some(), texts, "{name}");
        let longest = if texts { 12 } else { 0 };
        assert_eq!((manifest.max_tokens, manifest.output.kind), (longest, OutputKind::SentenceEmbedding), "{name}");
        assert_eq!(model.preprocessing(), [model.path.join("preprocessor_config.json")]);
        assert!(!model.tokenizer().exists());
        let kept = fs::read(&model.preprocessing()[0]).unwrap();
        if let Ok(given) = fs::read(folder.join("preprocessor_config.json")) {
            assert_eq!(kept, given, "{name}");
        }
        let again = import(&registry, name, &folder).unwrap();
        assert_eq!(again.version, "1", "{name}");
    }
}

#[test]
fn a_model_of_two_towers_becomes_two_models_of_one_space() {
    let (_home, registry) = registry();
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors", "preprocessor_config.json"] {
        files::copy(&picture_reference("clip").join(file), &folder.path().join(file)).unwrap();
    }
    let from = folder.path().to_str().unwrap();
    let with = |tower| ImportOptions { tower: Some(tower), ..ImportOptions::default() };
    let message = registry.import("texts", from, &with(Tower::Text), &silent).unwrap_err().to_string();
    assert!(message.contains("no tokenizer.json"), "{message}");
    let message = registry.import("both", from, &ImportOptions::default(), &silent).unwrap_err().to_string();
    assert!(message.contains("no tokenizer.json") && message.contains("(tower 'image')"), "{message}");
    files::copy(&reference("bert-max").join("tokenizer.json"), &folder.path().join("tokenizer.json")).unwrap();
    let texts = registry.import("texts", from, &with(Tower::Text), &silent).unwrap();
    let pictures = registry.import("pictures", from, &with(Tower::Image), &silent).unwrap();
    assert_eq!(texts.manifest.dimension, pictures.manifest.dimension);
    assert_eq!((texts.manifest.modality, texts.manifest.max_tokens), (Modality::Text, 12));
    assert_eq!((pictures.manifest.modality, pictures.manifest.max_tokens), (Modality::Bytes, 0));
    assert_eq!(texts.manifest.output.kind, OutputKind::SentenceEmbedding);
    assert_ne!(texts.manifest.fingerprint, pictures.manifest.fingerprint);

    // Both under one name: the tower for texts is a version within the version.
    let both = registry.import("both", from, &ImportOptions::default(), &silent).unwrap();
    let within = registry.kept_within(&both, TEXT_TOWER).unwrap();
    assert_eq!((within.reference(), &within.manifest.fingerprint), (both.reference(), &texts.manifest.fingerprint));
    let info = both.info();
    assert!(info.reads(Modality::Text) && info.reads(Modality::Bytes));
    assert_eq!((info.max_tokens, info.dimension), (12, texts.manifest.dimension));
    let scale = info.text_tower.unwrap();
    assert!(scale.logit_scale > 0.0 && scale.logit_bias.is_none());
    assert!(both.manifest.what_it_reads() == "bytes and text");
    let shorter = ImportOptions { max_tokens: Some(8), ..ImportOptions::default() };
    let shorter = registry.import("both", from, &shorter, &silent).unwrap();
    assert_eq!((shorter.reference().as_str(), shorter.info().max_tokens), ("both@2", 8));
    // What is trained from it is a model of one tower.
    let build = |candidate: &mut Candidate| candidate.copy_graph(&both);
    let trained = registry.publish_trained("trained", &both, &silent, build, |_, _| Ok::<_, Error>(true));
    let trained = trained.unwrap().unwrap().info();
    assert!(!trained.reads(Modality::Text) && trained.max_tokens == 0);
    fs::remove_file(within.tokenizer()).unwrap();
    let message = registry.resolve("both@1").unwrap_err().to_string();
    assert!(message.contains("both@1") && message.contains("tokenizer.json"), "{message}");
    let siglip = import(&registry, "siglip", &picture_reference("siglip")).unwrap().info();
    assert!(siglip.text_tower.unwrap().logit_bias.is_some());
    for name in ["vit", "timm-resnet"] {
        let from = picture_reference(name);
        let message =
            registry.import("m", from.to_str().unwrap(), &with(Tower::Image), &silent).unwrap_err().to_string();
        assert!(message.contains("one tower only"), "{message}");
    }
}

#[test]
fn what_a_model_of_pictures_lacks_is_said() {
    let copy = |name: &str| {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(picture_reference(name)).unwrap() {
            let entry = entry.unwrap();
            files::copy(&entry.path(), &folder.path().join(entry.file_name())).unwrap();
        }
        folder
    };
    let folder = copy("vit");
    fs::remove_file(folder.path().join("preprocessor_config.json")).unwrap();
    assert!(refused(folder.path()).contains("no preprocessor_config.json"));
    fs::write(folder.path().join("preprocessor_config.json"), "[]").unwrap();
    assert!(refused(folder.path()).contains("it makes pictures no size"));
    let processor = |height: usize, width: usize| {
        serde_json::json!({"size": {"height": height, "width": width}, "resample": 2, "do_normalize": false})
            .to_string()
    };
    fs::write(folder.path().join("preprocessor_config.json"), processor(64, 32)).unwrap();
    let message = refused(folder.path());
    assert!(message.contains("image_size") && message.contains("64 by 32"), "{message}");

    // Another size suits a network of convolutions.
    let folder = copy("convnext");
    fs::write(folder.path().join("preprocessor_config.json"), processor(96, 64)).unwrap();
    let (_home, registry) = registry();
    let size = import(&registry, "m", folder.path()).unwrap().manifest.picture.unwrap();
    assert_eq!(size.to_string(), "64 x 96");
    let options = ImportOptions { max_tokens: Some(16), ..ImportOptions::default() };
    let from = folder.path().to_str().unwrap();
    let message = registry.import("m", from, &options, &silent).unwrap_err().to_string();
    assert!(message.contains("reads pictures") && message.contains("max_tokens"), "{message}");
    let options = ImportOptions { pooling: Some(Pooling::Cls), ..ImportOptions::default() };
    let message = registry.import("m", from, &options, &silent).unwrap_err().to_string();
    assert!(message.contains("leave the option pooling out"), "{message}");

    let folder = copy("timm-resnet");
    edit(&folder.path().join("config.json"), |config| config["architecture"] = "resnetaa50".into());
    let message = refused(folder.path());
    assert!(message.contains("resnetaa50") && message.contains("resnet1..."), "{message}");
    edit(&folder.path().join("config.json"), |config| config["architecture"] = "convnext_tiny".into());
    assert!(refused(folder.path()).contains("stem.0.weight"));
}

#[test]
fn a_graph_of_pictures_is_imported_with_its_preprocessor_and_no_tokenizer() {
    let (_home, registry) = registry();
    let built = import(&registry, "built", &picture_reference("timm-resnet")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("onnx")).unwrap();
    for file in ["onnx/model.onnx", "onnx/model.onnx.data"] {
        if built.path.join(file).is_file() {
            files::copy(&built.path.join(file), &folder.path().join(file)).unwrap();
        }
    }
    assert!(refused(folder.path()).contains("no preprocessor_config.json"));
    let preprocessor = folder.path().join("preprocessor_config.json");
    let processor = |width: usize| {
        serde_json::json!({"size": {"height": 32, "width": width}, "resample": 2, "do_normalize": false}).to_string()
    };
    fs::write(&preprocessor, processor(32)).unwrap();
    for from in [folder.path().to_path_buf(), folder.path().join("onnx/model.onnx")] {
        let model = import(&registry, "foreign", &from).unwrap();
        let manifest = &model.manifest;
        assert_eq!(
            (manifest.modality, manifest.dimension, manifest.architecture.as_str()),
            (Modality::Bytes, 24, "onnx")
        );
        assert_eq!(manifest.output, built.manifest.output);
        assert_eq!(fs::read(&model.preprocessing()[0]).unwrap(), fs::read(&preprocessor).unwrap());
    }
    fs::write(&preprocessor, processor(33)).unwrap();
    let message = refused(folder.path());
    assert!(message.contains("[batch, 3, 32, 32]") && message.contains("[batch, 3, 32, 33]"), "{message}");
}

#[test]
fn default_models_are_known_by_their_names() {
    let (_home, registry) = registry();
    for name in ["all-MiniLM-L6-v2", "efficientnet-lite0"] {
        let message = registry.resolve_or_install(name, true, &silent).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains("offline"), "{message}");
    }
}
