//! Ignore patterns and wildcards, against moby's cases and against a slow reading of the rules.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use fastlayer_context::{Error, IgnoreMatcher, wildcard};
use proptest::prelude::*;
use support::{cases, strings};

/// Names need not be UTF-8, and a pattern with one means that one.
#[test]
fn other_bytes_match_themselves() {
    for (pattern, name, expected) in [
        (b"caf\xe9*".as_slice(), b"caf\xe9s".as_slice(), true),
        (b"caf\xe9*", b"caf\xe8s", false),
        (b"caf\xe9*", "caf\u{fffd}s".as_bytes(), false),
        ("\u{fffd}*".as_bytes(), b"\xe9", false),
        (b"caf?", b"caf\xe9", true),
        (b"caf[^a]", b"caf\xe9", true),
        ("caf[a-\u{10ffff}]".as_bytes(), b"caf\xe9", false),
    ] {
        assert_eq!(
            wildcard::matches(pattern, name).ok(),
            Some(expected),
            "{pattern:?} {name:?}"
        );
        let matcher = IgnoreMatcher::new([pattern]).unwrap();
        assert_eq!(matcher.is_ignored(name), expected, "{pattern:?} {name:?}");
    }
}

#[test]
fn mobys_cases_hold() {
    let Some(document) = cases("match_cases.json") else {
        return;
    };
    let list = document["cases"].as_array().unwrap();
    assert!(list.len() > 100);
    for case in list {
        let patterns = strings(&case["patterns"]);
        let path = case["path"].as_str().unwrap();
        let id = &case["id"];
        match (IgnoreMatcher::new(&patterns), case["ignored"].as_bool()) {
            (Ok(matcher), Some(expected)) => {
                assert_eq!(
                    matcher.is_ignored(path.as_bytes()),
                    expected,
                    "{id} {patterns:?} {path}"
                );
            }
            (Err(Error::Pattern { pattern, .. }), None) => assert_eq!(pattern, patterns[0], "{id}"),
            (result, expected) => unreachable!("{id}: {result:?} {expected:?}"),
        }
    }
    for case in document["clean_pattern_cases"].as_array().unwrap() {
        let matcher = IgnoreMatcher::new(strings(&case["patterns"]));
        assert_eq!(matcher.is_err(), case["error"].is_string(), "{case}");
        if let (Ok(matcher), Some(expected)) = (matcher, case["has_exclusions"].as_bool()) {
            assert_eq!(matcher.has_exceptions(), expected, "{case}");
        }
    }
}

#[test]
fn go_wildcards() {
    let table: &[(&str, &str, bool)] = &[
        ("abc", "abc", true),
        ("*", "abc", true),
        ("*", "a/b", false),
        ("*c", "abc", true),
        ("a*/b", "abc/b", true),
        ("a*/b", "a/c/b", false),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("ab[^e-g]", "abc", true),
        ("ab[e-g]", "abc", false),
        ("a\\*b", "a*b", true),
        ("a\\*b", "ab", false),
        ("a?b", "a☺b", true),
        ("a?b", "a/b", false),
        ("[a-ζ]*", "α", true),
        ("*[a-ζ]", "A", false),
        ("[\\]a]", "]", true),
        ("[x\\-]", "-", true),
        ("[\\-x]", "a", false),
        ("[z-a]", "b", false),
        ("arr[[]0].txt", "arr[0].txt", true),
        ("", "", true),
        ("", "a", false),
        ("**", "ab", true),
        ("a]", "a]", true),
    ];
    for &(pattern, name, expected) in table {
        let found = wildcard::matches(pattern.as_bytes(), name.as_bytes()).unwrap();
        assert_eq!(found, expected, "{pattern} {name}");
    }
    assert!(wildcard::matches(b"?", b"\xff").unwrap());
    assert!(!wildcard::matches(b"?", b"\xff\xff").unwrap());
    for bad in [
        "[", "[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[^", "a[",
    ] {
        let error = wildcard::matches(bad.as_bytes(), b"unlike").unwrap_err();
        assert!(error.to_string().starts_with("bad pattern"), "{error}");
    }
    assert!(wildcard::is_wildcard(b"a*"));
    assert!(wildcard::is_wildcard(b"a\\\\*"));
    assert!(!wildcard::is_wildcard(b"a\\*b]"));
}

#[test]
fn a_pattern_costs_its_length_only() {
    let pattern = format!("{}b", "*a".repeat(200));
    let name = "a".repeat(2000);
    let matcher = IgnoreMatcher::new([pattern.as_str(), "**/**/**/**/**/x[y]"]).unwrap();
    assert!(!matcher.is_ignored(name.as_bytes()));
    assert!(!matcher.is_ignored("a/".repeat(300).as_bytes()));
}

#[test]
fn where_to_look_for_exceptions() {
    let table: &[(&str, &str, bool)] = &[
        ("!docs/a/b.md", "docs", true),
        ("!docs/a/b.md", "docs/a", true),
        ("!docs/a/b.md", "docs/b", false),
        ("!docs/*.md", "docs", true),
        ("!docs/*.md", "docs/a", false),
        ("!docs/**", "docs/a", true),
        ("!docs/**", "src", false),
        ("!**/*.md", "src/deep", true),
        ("!src/**/x[0-9]/*.md", "src/a/b", true),
        ("!src/**/x[0-9]/*.md", "lib", false),
        ("!docs", "docs", false),
    ];
    for &(exception, directory, expected) in table {
        let matcher = IgnoreMatcher::new(["*", exception]).unwrap();
        let found = matcher.could_put_back_below(directory.as_bytes());
        assert_eq!(found, expected, "{exception} {directory}");
    }
}

/// The rules of patterns, read slowly: every way a wildcard may go is tried.
fn slowly(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => {
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            if rest.is_empty() {
                return true;
            }
            let after_slash = |end: &usize| *end == 0 || text[end - 1] == b'/';
            (0..=text.len())
                .filter(after_slash)
                .any(|end| slowly(rest, &text[end..]))
        }
        [b'*', rest @ ..] => {
            let name = text
                .iter()
                .position(|&byte| byte == b'/')
                .unwrap_or(text.len());
            (0..=name).any(|end| slowly(rest, &text[end..]))
        }
        [b'?', rest @ ..] => {
            text.first().is_some_and(|&byte| byte != b'/') && slowly(rest, &text[1..])
        }
        [first, rest @ ..] => text.first() == Some(first) && slowly(rest, &text[1..]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn patterns_mean_what_the_slow_reading_says(
        pattern in "(a|b|/|\\*|\\*\\*/|\\?){1,8}[ab]",
        path in "[ab]{1,3}(/[ab]{1,3}){0,3}",
    ) {
        let cleaned: Vec<&str> = pattern.split('/').filter(|name| !name.is_empty()).collect();
        let cleaned = cleaned.join("/");
        // `**a` without other wildcards is a plain suffix in moby, unlike `**a*`.
        let suffix = cleaned.strip_prefix("**").filter(|rest| !rest.contains(['*', '?']));
        let mut expected = false;
        for (end, _) in path.char_indices().filter(|&(_, character)| character == '/').chain([(path.len(), '/')]) {
            let part = &path[..end];
            expected |= match suffix {
                Some(ending) => part.ends_with(ending) || ending.strip_prefix('/') == Some(part),
                None => slowly(cleaned.as_bytes(), part.as_bytes()),
            };
        }
        let matcher = IgnoreMatcher::new([&cleaned]).unwrap();
        prop_assert_eq!(matcher.is_ignored(path.as_bytes()), expected, "{} {}", cleaned, path);
    }

    #[test]
    fn nothing_is_put_back_where_it_need_not_be_looked_for(
        exception in "(a|b|/|\\*|\\*\\*/|\\?|\\[ab\\]){1,8}",
        directory in "[ab]{1,2}(/[ab]{1,2}){0,2}",
        below in "[ab]{1,2}(/[ab]{1,2}){0,2}",
    ) {
        let matcher = IgnoreMatcher::new(["**".to_owned(), format!("!{exception}")]).unwrap();
        let path = format!("{directory}/{below}");
        if matcher.is_ignored(directory.as_bytes()) && !matcher.is_ignored(path.as_bytes()) {
            prop_assert!(matcher.could_put_back_below(directory.as_bytes()), "{} {}", exception, path);
        }
    }

    #[test]
    fn any_text_is_a_pattern_or_an_error(pattern in ".{0,30}", path in ".{1,20}") {
        if let Ok(matcher) = IgnoreMatcher::new([&pattern]) {
            matcher.is_ignored(path.as_bytes());
            matcher.could_match_below(path.as_bytes());
        }
    }
}
