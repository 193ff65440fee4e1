//! Machines whose files are a directory or a tar file.

use std::time::Duration;

use driver_core::spec::Root;
use tandem_tests::stage::{Stage, container};
use tandem_tests::tree::Fingerprint;
use tandem_tests::{TestResult, requirement};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_is_a_root_and_stays_what_it_is() -> TestResult {
    let Some(root) = requirement::small_root() else { return Ok(()) };
    let before = Fingerprint::of(&root.directory)?;
    assert!(before.len() > 1000, "{} files", before.len());
    boots_and_writes(Root::Directory(root.directory.clone())).await?;
    assert!(before == Fingerprint::of(&root.directory)?, "the source was written to");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tar_is_a_root_and_stays_what_it_is() -> TestResult {
    let Some(root) = requirement::small_root() else { return Ok(()) };
    let before = Fingerprint::of(&root.tar)?;
    boots_and_writes(Root::Tar(root.tar.clone())).await?;
    assert_eq!(before, Fingerprint::of(&root.tar)?);
    Ok(())
}

async fn boots_and_writes(root: Root) -> TestResult {
    let [mut one, mut two] = ["one", "two"].map(container);
    one.root = root.clone();
    two.root = root;
    let stage = Stage::boot(vec![one, two]).await?;
    let (one, two) = (stage.machine("one"), stage.machine("two"));
    // It boots its own target, not ours.
    one.wait_for_unit("multi-user.target", None, Duration::from_secs(30)).await?;
    one.fail("systemctl cat tandem.target", None).await?;
    assert_eq!(
        one.succeed("stat -c %u:%g:%a / /etc/shadow /usr/bin/su | sort -u; hostname", None).await?,
        "0:0:4755\n0:0:755\n0:42:640\none\n"
    );
    one.succeed("echo x > /etc/debian_version; rm -r /usr/share/doc; chown daemon /usr/bin/su; touch /new", None)
        .await?;
    two.succeed("[ -d /usr/share/doc ] && [ ! -e /new ] && grep -q two /etc/hosts && timeout 5 bash -c '</dev/tcp/one/1' || [ $? = 1 ]", None).await?;
    one.shutdown().await?;
    one.succeed("[ -e /new ] && [ \"$(cat /etc/debian_version)\" = x ]", None).await?;
    drop((one, two));
    stage.finish().await
}
