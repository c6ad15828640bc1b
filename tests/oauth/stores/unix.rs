//! Files that others can touch, links, pipes: what a store of files refuses.

use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use super::*;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn files_are_their_users_alone_from_the_start() {
    let (folder, files) = folder();
    let _guard = files.lock(&key()).await.unwrap();
    for generation in 1..3 {
        files.save(&key(), &tokens(generation), (generation > 1).then(|| generation - 1)).await.unwrap();
        for ending in ["json", "lock"] {
            let [file] = &self::files(&folder, ending)[..] else { panic!("one file") };
            assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, 0o600);
        }
    }
    for path in ["state", "state/tokens"] {
        assert_eq!(fs::metadata(folder.path().join(path)).unwrap().mode() & 0o7777, 0o700);
    }
    // Nothing else is left there.
    assert_eq!(fs::read_dir(folder.path().join("state/tokens")).unwrap().count(), 2);
}

#[tokio::test]
async fn what_others_can_touch_is_refused() {
    let (folder, files) = folder();
    files.save(&key(), &tokens(1), None).await.unwrap();
    let (file, within) = (stored_file(&folder), folder.path().join("state/tokens"));
    for (path, modes, good) in [(&file, [0o640, 0o604, 0o660, 0o666], 0o600), (&within, [0o750, 0o701, 0o770, 0o777], 0o700)] {
        for mode in modes {
            set_mode(path, mode);
            assert_eq!(fault(files.load(&key()).await), Some(StoreFault::Unsafe), "{mode:o}");
            assert_eq!(fault(files.save(&key(), &tokens(2), Some(1)).await), Some(StoreFault::Unsafe), "{mode:o}");
        }
        set_mode(path, good);
        assert!(files.load(&key()).await.is_ok());
    }
}

#[tokio::test]
async fn links_are_refused() {
    let (folder, files) = folder();
    files.save(&key(), &tokens(1), None).await.unwrap();
    let file = stored_file(&folder);
    let elsewhere = folder.path().join("elsewhere.json");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert_eq!(fault(files.load(&key()).await), Some(StoreFault::Unsafe));
    assert_eq!(fault(files.save(&key(), &tokens(2), Some(1)).await), Some(StoreFault::Unsafe));
    // The link goes, not what it leads to.
    files.delete(&key()).await.unwrap();
    assert!(elsewhere.exists() && !file.exists());

    // What would become the file, and the lock.
    let victim = folder.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, file.with_extension("new")).unwrap();
    files.save(&key(), &tokens(1), None).await.unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    symlink(&victim, file.with_extension("lock")).unwrap();
    assert_eq!(fault(files.lock(&key()).await), Some(StoreFault::Unsafe));

    // The folder itself.
    let real = folder.path().join("state/tokens");
    let link = folder.path().join("link");
    symlink(&real, &link).unwrap();
    assert_eq!(fault(FileTokenStore::new(&link).load(&key()).await), Some(StoreFault::Unsafe));
}

/// To open one waits for who writes to it.
#[tokio::test]
async fn a_pipe_is_refused_at_once() {
    let (folder, files) = folder();
    files.save(&key(), &tokens(1), None).await.unwrap();
    let file = stored_file(&folder);
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&file).status().unwrap().success());
    let loaded = tokio::time::timeout(Duration::from_secs(20), files.load(&key())).await;
    // Whatever came of it, nobody goes on waiting.
    drop(fs::OpenOptions::new().read(true).write(true).open(&file).unwrap());
    assert_eq!(fault(loaded.expect("it waits")), Some(StoreFault::Unsafe));
}

#[tokio::test]
async fn files_of_another_user_are_refused() {
    let (folder, files) = folder();
    files.save(&key(), &tokens(1), None).await.unwrap();
    let file = stored_file(&folder);
    if let Err(error) = std::os::unix::fs::chown(&file, Some(12345), None) {
        eprintln!("SKIPPED: only root can give a file away ({error})");
        return;
    }
    assert_eq!(fault(files.load(&key()).await), Some(StoreFault::Unsafe));
    files.delete(&key()).await.unwrap();
    files.save(&key(), &tokens(1), None).await.unwrap();
    std::os::unix::fs::chown(folder.path().join("state/tokens"), Some(12345), None).unwrap();
    assert_eq!(fault(files.load(&key()).await), Some(StoreFault::Unsafe));
    assert_eq!(fault(files.lock(&key()).await), Some(StoreFault::Unsafe));
}

#[tokio::test]
async fn an_error_names_the_file_and_what_is_wrong_with_it() {
    let (folder, files) = folder();
    files.save(&key(), &tokens(1), None).await.unwrap();
    let file = stored_file(&folder);
    set_mode(&file, 0o644);
    let error = files.load(&key()).await.shown().unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(reason, format!("{} is open to other users", file.display()));
}
