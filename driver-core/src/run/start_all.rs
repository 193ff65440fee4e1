//! Starting machines at the same time, or as many as the host has room to boot.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, MachineError};
use crate::machine::Machine;

/// Starts these machines at the same time, or as many as their backend boots at once: then the next starts when the boot of an earlier one is
/// over. Returns when the last was launched. Fails with every failure, after all have either started or failed.
pub async fn start_all(machines: &[Machine]) -> Result<(), Error> {
    let failed = start_each(machines).await;
    match failed.len() {
        0 => Ok(()),
        1 => Err(failed.into_iter().next().expect("there is one").1),
        _ => {
            let names: Vec<&str> = failed.iter().map(|(machine, _)| machine.name()).collect();
            let causes: Vec<String> =
                failed.iter().map(|(machine, error)| format!("{}: {error}", machine.name())).collect();
            let text = format!("Failed to start the following machines:\n{}", causes.join("\n"));
            Err(MachineError::new(names.join(", "), "start", text).into())
        }
    }
}

/// The same, with those that failed and why.
pub async fn start_each(machines: &[Machine]) -> Vec<(&Machine, Error)> {
    let turns = turns(machines);
    let started = machines.iter().map(|machine| async {
        let Some(turns) = turns.get(backend_name(machine)) else { return (machine.start().await, None) };
        let turn = turns.clone().acquire_owned().await;
        let result = machine.start().await;
        let booting = machine.clone();
        let boot = tokio::spawn(async move {
            booting.boot_is_over().await;
            drop(turn);
        });
        (result, Some(AbortOnDropHandle::new(boot)))
    });
    let (results, _boots): (Vec<_>, Vec<_>) = join_all(started).await.into_iter().unzip();
    machines.iter().zip(results).filter_map(|(machine, result)| Some((machine, result.err()?))).collect()
}

/// The turns to boot of each backend that has a number of them.
fn turns(machines: &[Machine]) -> BTreeMap<&str, Arc<Semaphore>> {
    let of_machine = |machine| {
        let count = Machine::boots_at_once(machine)?;
        Some((backend_name(machine), Arc::new(Semaphore::new(count.max(1)))))
    };
    machines.iter().filter_map(of_machine).collect()
}

fn backend_name(machine: &Machine) -> &str {
    &machine.spec().backend
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::event::Recorder;
    use crate::fake::{Booting, FakeBackend};
    use crate::guest::Exit;
    use crate::machine::Options;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Machines that boot in this way.
    fn machines(backend: &FakeBackend, names: &[&str], booting: &Booting) -> Vec<Machine> {
        let machine = |name: &&str| {
            let fake = backend.machine(name);
            fake.boots(booting.clone());
            let options = Options { boot_timeout: secs(60), ..Options::new("/nowhere") };
            Machine::new(fake.spec(), Arc::new(fake), Recorder::new(Vec::new()), options)
        };
        names.iter().map(machine).collect()
    }

    fn started(backend: &FakeBackend, names: &[&str]) -> Vec<usize> {
        names.iter().map(|name| backend.machine(name).starts()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_number_all_start_at_once() {
        let backend = FakeBackend::new();
        let began = Instant::now();
        start_all(&machines(&backend, &["a", "b", "c"], &Booting::Takes(secs(9)))).await.unwrap();
        assert_eq!((began.elapsed(), started(&backend, &["a", "b", "c"])), (secs(0), vec![1, 1, 1]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_starts_when_one_is_ready() {
        let names = ["a", "b", "c", "d", "e"];
        let (vms, containers) = (FakeBackend::named("vm"), FakeBackend::named("container"));
        vms.boots_at_once(Some(2));
        let mut all = machines(&vms, &names, &Booting::Takes(secs(10)));
        all.extend(machines(&containers, &["x", "y", "z"], &Booting::Takes(secs(50))));
        let began = Instant::now();
        let starting = tokio::spawn(async move { start_all(&all).await.map(|()| all) });
        for expected in [[1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]] {
            sleep(secs(9)).await;
            assert_eq!(started(&vms, &names), expected, "after {:?}", began.elapsed());
            assert_eq!(started(&containers, &["x", "y", "z"]), [1, 1, 1]);
            sleep(secs(1)).await;
        }
        starting.await.unwrap().unwrap();
        assert!(began.elapsed() <= secs(30), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn returns_when_the_last_was_launched() {
        let backend = FakeBackend::new();
        backend.boots_at_once(Some(1));
        let machines = machines(&backend, &["a", "b", "c"], &Booting::Takes(secs(10)));
        let began = Instant::now();
        start_all(&machines).await.unwrap();
        assert!((20..21).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        machines[2].succeed("true", None).await.unwrap();
        assert!((30..31).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        // All run already.
        start_all(&machines).await.unwrap();
        assert!((30..31).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_will_never_be_ready_makes_room() {
        let backend = FakeBackend::new();
        backend.boots_at_once(Some(1));
        let names = ["dies", "fails", "lost", "never", "well"];
        let machines = machines(&backend, &names, &Booting::Takes(secs(1)));
        backend.machine("dies").boots(Booting::Dies(secs(2), Exit::Died("oops".into())));
        backend.machine("fails").boots(Booting::Unlaunched(secs(3), "no room".into()));
        backend.machine("lost").boots(Booting::Never);
        backend.machine("never").boots(Booting::Never);
        let lost = backend.machine("lost");
        tokio::spawn(async move {
            sleep(secs(9)).await;
            lost.lose("its kernel panicked");
        });
        let began = Instant::now();
        let error = start_all(&machines).await.unwrap_err();
        assert_eq!(error.to_string(), "machine fails: start: no room");
        assert_eq!(started(&backend, &names), [1; 5]);
        // Two seconds, three, up to the ninth, then a boot deadline of sixty with some grace.
        assert!((69..=80).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_told_together() {
        let backend = FakeBackend::new();
        let booting = Booting::Unlaunched(secs(1), "no room".into());
        let error = start_all(&machines(&backend, &["a", "b"], &booting)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "machine a, b: start: Failed to start the following machines:\na: machine a: start: no room\n\
             b: machine b: start: no room"
        );
    }
}
