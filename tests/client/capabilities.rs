//! A call that a credential cannot make is a compile error that names the credential which can. Each case of tests/ui stands beside what the
//! compiler says of it; where another compiler words it differently, `TRYBUILD=overwrite` writes that down anew, to be read before it is kept.

use std::fs;

#[test]
fn wrong_credentials_do_not_compile() {
    let cases = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ui")).unwrap();
    let cases = cases.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "rs"));
    assert!(cases.count() >= 8);
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
