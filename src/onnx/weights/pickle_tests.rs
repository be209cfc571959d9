//! What a hostile pickle may try, and that each is an error with a reason.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn error(bytes: &[u8]) -> String {
    Pickle::read(bytes).unwrap_err()
}

#[test]
fn code_is_refused_by_its_name() {
    let cases: [(&[u8], &str); 9] = [
        (b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.", "os.system"),
        (b"\x80\x02cbuiltins\neval\n.", "builtins.eval"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", "posix.system"),
        (b"\x80\x02ctorch\nload\n.", "torch.load"),
        (b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n.", "torch._utils._rebuild_sparse_tensor"),
        (b"\x80\x02(ios\nsystem\n.", "INST"),
        (b"\x80\x02(X\x02\0\0\0lso.", "OBJ"),
        (b"\x80\x02}}\x92.", "NEWOBJ_EX"),
        (b"\x80\x02\x82\x01.", "EXT"),
    ];
    for (bytes, expected) in cases {
        let message = error(bytes);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn calls_of_what_makes_no_tensor_are_refused() {
    let cases: [(&[u8], &str); 5] = [
        // OrderedDict of something could call that.
        (b"\x80\x02ccollections\nOrderedDict\n]\x85R.", "OrderedDict"),
        (b"\x80\x02ctorch\nFloatStorage\nK\x05\x85R.", "Storage"),
        (b"\x80\x02X\x01\0\0\0a)R.", "not a name"),
        (b"\x80\x02ccollections\nOrderedDict\n]R.", "not a tuple"),
        (b"\x80\x02K\x01}b.", "attributes"),
    ];
    for (bytes, expected) in cases {
        let message = error(bytes);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_stack_that_does_not_add_up_is_an_error() {
    for bytes in [
        &b"\x80\x02."[..],
        b"\x80\x02t.",
        b"\x80\x02\x87.",
        b"\x80\x02(\x85.",
        b"\x80\x02K\x01(0.",
        b"\x80\x02}K\x01s.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02K\x01K\x02a.",
        b"\x80\x02h\x05.",
        b"\x80\x02q\x05.",
        b"\x80\x02\x93.",
        b"\x80\x02R.",
        b"\x80\x02b.",
        b"\x80\x02Q.",
    ] {
        assert!(!error(bytes).is_empty());
    }
}

#[test]
fn lengths_are_not_believed() {
    for bytes in [
        &b""[..],
        b"\x80",
        b"\x80\x02X\xff\xff\xff\xffa",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffa",
        b"\x80\x02\x8a\xffa",
        b"\x80\x02ccollections",
        b"\x80\x02J\x01",
    ] {
        assert!(error(bytes).contains("ends too early"), "{bytes:?}");
    }
    let long = [b"\x80\x02".as_slice(), &vec![b'N'; LONGEST]].concat();
    assert!(error(&long).contains("longer than"));
    assert!(error(b"\x80\x01.").contains("version 1"));
    assert!(error(b"\x80\x02\xfe.").contains("0xfe"));
}

/// Tuples a million deep, a list that contains itself, and a tuple that doubles thirty times take no deep stack and little memory.
#[test]
fn depth_and_doubling_cost_nothing() {
    let deep = [b"\x80\x02)".as_slice(), &vec![0x85; 1_000_000], b"."].concat();
    assert_eq!(Pickle::read(&deep).unwrap().length, deep.len());
    let cycle = Pickle::read(b"\x80\x02]q\0h\0a.").unwrap();
    assert_eq!(*cycle.get(cycle.root), Value::List(vec![cycle.root]));
    let doubled = [b"\x80\x04)".as_slice(), &b"\x94h\x00\x86".repeat(30), b"."].concat();
    assert!(Pickle::read(&doubled).unwrap().ids().count() < 100);
}

#[test]
fn numbers_are_read_with_their_sign() {
    let pickle =
        Pickle::read(b"\x80\x02(K\xffM\xff\xffJ\xff\xff\xff\xff\x8a\x00\x8a\x01\xff\x8a\x02\xff\x00t.").unwrap();
    let Value::Tuple(items) = pickle.get(pickle.root) else { unreachable!() };
    let numbers = items.iter().map(|item| pickle.get(*item).clone()).collect::<Vec<_>>();
    assert_eq!(numbers, [255, 65_535, -1, 0, -1, 255].map(Value::Int));
    assert_eq!(pickle.number(items[2]), None);
}
