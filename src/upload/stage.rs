//! Uploads for a sync: they never take a name by themselves, the sync puts their files in place. Pure.

/// What is kept aside for a sync lies in a folder directly below the root that begins so.
pub const STAGE: &str = ".skep-sync-";

/// The folder that is a sync's, or an upload's for a sync.
pub fn stage_of(key: &str) -> String {
    format!("{STAGE}{key}")
}

/// Where an upload for a sync lies when it is complete: what it is told to be called.
pub fn staged(upload: &str) -> String {
    format!("{STAGE}{upload}/new")
}

/// A key as senders choose them: 32 hex digits.
pub fn is_key(key: &str) -> bool {
    key.len() == 32 && key.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Is this the path of an upload for a sync?
pub fn is_staged(path: &str) -> bool {
    path.strip_prefix(STAGE).and_then(|rest| rest.strip_suffix("/new")).is_some_and(is_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_of_our_own_making_are_taken() {
        let key = "0123456789abcdef0123456789abcdef";
        assert!(is_staged(&staged(key)) && staged(key).starts_with(&stage_of(key)));
        for other in
            [format!("{}/x", staged(key)), stage_of(key), staged("x"), staged(&key.to_uppercase()), String::new()]
        {
            assert!(!is_staged(&other), "{other}");
        }
    }
}
