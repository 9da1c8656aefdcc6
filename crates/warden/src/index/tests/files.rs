//! The index as a file: found, not found, or not to be believed.

use super::*;

#[test]
fn an_index_is_gone_on_with_after_a_restart() {
    let fixture = Fixture::new();
    let ledger = fixture.ledger(100_000);
    fill(&ledger, 0, 300);
    let index = Index::of(&ledger);
    index.keep(&ledger).unwrap();
    drop((index, ledger));
    let inode = fs::metadata(fixture.index()).unwrap().ino();
    let ledger = fixture.ledger(100_000);
    fill(&ledger, 300, 600);
    let index = Index::of(&ledger);
    index.keep(&ledger).unwrap();
    assert_eq!(fs::metadata(fixture.index()).unwrap().ino(), inode, "not made anew");
    assert_eq!(index.status().sequence, ledger.sequence());
    assert_same(&index, &ledger);
}

#[test]
fn an_index_that_is_deleted_damaged_or_anothers_is_made_anew() {
    let fixture = Fixture::new();
    let ledger = fixture.ledger(100_000);
    fill(&ledger, 0, 300);
    let other = Fixture::new();
    let others = other.ledger(100_000);
    fill(&others, 40, 900);
    Index::of(&others).keep(&others).unwrap();
    let path = fixture.index();
    let form = |path: &Path| {
        let db = rusqlite::Connection::open(path).unwrap();
        db.execute_batch("UPDATE about SET value = '0' WHERE name = 'form'").unwrap();
    };
    let harms: [(&str, &dyn Fn()); 5] = [
        ("deleted", &|| fs::remove_file(&path).unwrap()),
        ("no database", &|| fs::write(&path, "nothing of the kind").unwrap()),
        ("empty", &|| fs::write(&path, "").unwrap()),
        ("of another form", &|| form(&path)),
        ("another's", &|| {
            fs::copy(other.index(), &path).unwrap();
        }),
    ];
    for (name, harm) in harms {
        let index = Index::of(&ledger);
        index.keep(&ledger).unwrap();
        drop(index);
        harm();
        let index = Index::of(&ledger);
        index.keep(&ledger).unwrap();
        assert_eq!(index.status().state, "ready", "{name}");
        assert_same(&index, &ledger);
    }
}

#[test]
fn an_index_of_an_empty_ledger_is_led_on() {
    let fixture = Fixture::new();
    let ledger = fixture.ledger(100_000);
    let index = Index::of(&ledger);
    index.keep(&ledger).unwrap();
    assert_eq!(index.status().state, "ready");
    fill(&ledger, 0, 50);
    assert_same(&index, &ledger);
}

#[test]
fn an_index_that_is_deleted_while_it_is_open_is_made_anew() {
    let fixture = Fixture::new();
    let ledger = fixture.ledger(100_000);
    fill(&ledger, 0, 300);
    let index = Index::of(&ledger);
    index.keep(&ledger).unwrap();
    fs::remove_file(fixture.index()).unwrap();
    assert_same(&index, &ledger);
    index.keep(&ledger).unwrap();
    assert!(fixture.index().exists());
    assert_same(&index, &ledger);
}

#[test]
fn without_an_index_history_comes_from_the_ledger() {
    let fixture = Fixture::new();
    let ledger = fixture.ledger(100_000);
    fill(&ledger, 0, 50);
    let index = Index::of(&ledger);
    let query = HistoryQuery::default();
    assert_eq!(index.status().state, "off");
    assert_eq!(index.history(&ledger, &query).unwrap(), ledger.history(&query).unwrap());
    // Something is in its place that is not ours to remove.
    fs::create_dir(fixture.index()).unwrap();
    let error = index.keep(&ledger).unwrap_err();
    index.give_up(&mut index.store(), &error);
    assert!(index.status().error.is_some());
    assert_eq!(index.history(&ledger, &query).unwrap().entries.len(), 50);
}

#[test]
fn nothing_is_opened_through_a_link() {
    let fixture = Fixture::new();
    let ledger = fixture.ledger(100_000);
    fill(&ledger, 0, 50);
    let index = Index::of(&ledger);
    index.keep(&ledger).unwrap();
    drop(index);
    let elsewhere = fixture.folder.path().join("elsewhere");
    fs::rename(fixture.index(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, fixture.index()).unwrap();
    let before = fs::read(&elsewhere).unwrap();
    let index = Index::of(&ledger);
    // Refused, or made anew in the place of the link; the file behind it is left alone.
    let _ = index.keep(&ledger);
    assert_eq!(fs::read(&elsewhere).unwrap(), before);
}

#[test]
fn the_index_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new();
    let ledger = fixture.ledger(100_000);
    fill(&ledger, 0, 5);
    Index::of(&ledger).keep(&ledger).unwrap();
    for entry in fs::read_dir(fixture.folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
}
