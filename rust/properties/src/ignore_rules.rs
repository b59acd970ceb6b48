//! Ignore rules and wildcards mean what trying every way gives; and nothing that they put back is
//! below a directory that need not be looked into.

use fastlayer_context::IgnoreMatcher;
use fastlayer_context::ignore::MatchState;
use fastlayer_context::wildcard;

use crate::Property;
use crate::ignore_model;

/// Longest pattern or path that is compared: trying every way takes the product of both.
const LONGEST: usize = 200;
/// Most patterns or paths of one input.
const MOST: usize = 24;

/// The matchers of ignore files and wildcards. The input is lines of patterns, an empty line, and
/// lines of paths.
pub struct IgnoreRules;

impl Property for IgnoreRules {
    fn check(&mut self, bytes: &[u8]) {
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let middle = lines.iter().position(|line| line.is_empty());
        let (patterns, paths) = lines.split_at(middle.unwrap_or(lines.len()));
        let short = |line: &&[u8]| line.len() <= LONGEST;
        let patterns: Vec<&[u8]> = patterns.iter().copied().filter(short).take(MOST).collect();
        let paths: Vec<Vec<u8>> = paths
            .iter()
            .copied()
            .filter(short)
            .take(MOST)
            .filter_map(|path| fastlayer_tar::path::normalise(path).ok())
            .filter(|path| !path.is_empty())
            .collect();
        for pattern in &patterns {
            for path in &paths {
                check_wildcard(pattern, path);
            }
        }
        let model: Option<Vec<Rule>> = patterns.iter().filter_map(|line| rule(line)).collect();
        match IgnoreMatcher::new(&patterns) {
            Ok(matcher) => {
                let model = model.expect("a pattern that the model does not understand");
                for path in &paths {
                    check_path(&matcher, &model, path);
                }
            }
            Err(_) => assert!(model.is_none(), "patterns that the model understands"),
        }
    }
}

/// One pattern as the model sees it.
struct Rule {
    exception: bool,
    text: Vec<u8>,
}

fn check_wildcard(pattern: &[u8], path: &[u8]) {
    let letters = (ignore_model::letters(pattern), ignore_model::letters(path));
    let expected = ignore_model::matches(&letters.0, &letters.1, false);
    let found = wildcard::matches(pattern, path);
    assert_eq!(
        found.ok(),
        expected,
        "wildcard {} and {}",
        pattern.escape_ascii(),
        path.escape_ascii()
    );
}

fn check_path(matcher: &IgnoreMatcher, model: &[Rule], path: &[u8]) {
    let found = matcher.is_ignored(path);
    // From the root down, as a walk does it.
    let (mut above, mut own) = (MatchState::default(), MatchState::default());
    let mut ancestors = Vec::new();
    let mut walked = false;
    let ends = (0..path.len()).filter(|at| path[*at] == b'/');
    for end in ends.chain([path.len()]) {
        walked = matcher.evaluate(&path[..end], &above, &mut own);
        ancestors.push((&path[..end], walked));
        std::mem::swap(&mut above, &mut own);
    }
    assert_eq!(found, walked);
    for (directory, ignored) in &ancestors[..ancestors.len() - 1] {
        assert!(
            found || !ignored || matcher.could_put_back_below(directory),
            "{path:?} is put back below {directory:?}"
        );
        assert!(
            !found || *ignored || matcher.could_match_below(directory),
            "{path:?} matches below {directory:?}"
        );
    }
    assert_eq!(found, model_ignores(model, path), "{}", path.escape_ascii());
}

/// Each directory from the root down, each pattern in turn, as moby tells it.
fn model_ignores(model: &[Rule], path: &[u8]) -> bool {
    let mut above = vec![false; model.len()];
    let mut verdict = false;
    let ends = (0..path.len()).filter(|at| path[*at] == b'/');
    for end in ends.chain([path.len()]) {
        let here = &path[..end];
        verdict = false;
        for (rule, matched) in model.iter().zip(&mut above) {
            *matched = *matched || (rule.exception == verdict && rule.matches(here));
            if *matched {
                verdict = !rule.exception;
            }
        }
    }
    verdict
}

impl Rule {
    fn matches(&self, path: &[u8]) -> bool {
        let special = |text: &[u8]| text.iter().any(|byte| b"*?[]\\".contains(byte));
        match self.text.as_slice() {
            text if !special(text) => text == path,
            // Where nothing but the two stars is special, moby compares the ends of the texts.
            [b'*', b'*', ending @ ..] if !special(ending) => {
                path.ends_with(ending) || ending.strip_prefix(b"/") == Some(path)
            }
            [beginning @ .., b'*', b'*'] if !special(beginning) => path.starts_with(beginning),
            text => {
                let (text, path) = (ignore_model::letters(text), ignore_model::letters(path));
                ignore_model::matches(&text, &path, true) == Some(true)
            }
        }
    }
}

/// A line as a rule: nothing for an empty one, and an inner `None` for one that is refused.
fn rule(line: &[u8]) -> Option<Option<Rule>> {
    let line = line.trim_ascii();
    let (exception, text) = match line.strip_prefix(b"!") {
        Some(text) => (true, text.trim_ascii()),
        None => (false, line),
    };
    if line.is_empty() {
        return None;
    }
    if text.is_empty() {
        return Some(None);
    }
    let text = clean(text);
    let letters = ignore_model::letters(&text);
    let understood = ignore_model::matches(&letters, &[], false).is_some()
        && ignore_model::matches(&letters, &[], true).is_some();
    Some(understood.then_some(Rule { exception, text }))
}

/// A path without detours and without a slash in front.
fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match (name, names.last()) {
            (b"" | b".", _) => {}
            (b"..", Some(&last)) if last != b".." => {
                names.pop();
            }
            (b"..", _) if rooted => {}
            _ => names.push(name),
        }
    }
    if names.is_empty() && !rooted {
        return b".".to_vec();
    }
    names.join(&b'/')
}
