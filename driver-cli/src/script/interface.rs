//! The Varlink interface `io.tandem.Driver`: one method for each verb.
#![expect(clippy::unused_async, reason = "zlink awaits every method")]

use std::collections::BTreeMap;
use std::path::Path;

use driver_core::event::{Kind, Level};
use driver_core::machine::Process;
use driver_core::run::{Wanted, start_each};
use futures::stream::iter;
use futures::{Stream, StreamExt};
use zlink::Reply;

use super::call::{Interface, PointerButton, Replies, Severity, done, duration, qmp, ran, text};
use super::console::Follower;
use super::failure::{Failure, of_starts};
use super::interact::interactive_shell;
use super::lan::{self, Captured, Capturing, Counts, Faults, FlowCounts, LinkCounts, LinkDirection, Spread};
use super::make::{self, Directories, Made};
use super::reply::{Begun, Description, Done, Excerpt, MachineDescription, Presence, Properties, Ran, Text, Waiting};
use super::screen;
use super::session::Said;

/// A test that is going on: its machines and its record.
///
/// Durations are in seconds; without a timeout, a call waits for as long as it takes. A call that names a span is recorded in it.
/// Verbs start the machine they need. While a verb goes on, a client that asked for more replies gets some that only say what is waited
/// for; the last reply has the answer. Closing the connection cancels the verb.
#[zlink::service(
    interface = "io.tandem.Driver",
    types = [
        Faults, FlowCounts, LinkCounts, LinkDirection, MachineDescription, PointerButton, Severity, Spread, Waiting,
    ],
    vendor = "Tandem",
    product = "tandem",
    version = env!("CARGO_PKG_VERSION")
)]
impl Interface {
    /// Describes the test.
    async fn describe(&self) -> Description {
        self.session().describe()
    }

    /// Launches a machine and does not wait for its boot. Does nothing if it runs. A machine that may not reboot by itself ends when it does.
    #[zlink(more)]
    async fn start(
        &self,
        more: bool,
        machine: String,
        allow_reboot: Option<bool>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "start", move |machine| async move {
            done(match allow_reboot {
                Some(true) => machine.start_allowing_reboot().await,
                Some(false) | None => machine.start().await,
            })
        })
    }

    /// Launches all machines, at the same time.
    #[zlink(more)]
    async fn start_all(
        &self,
        more: bool,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.for_all(more, span, "start all VMs", |machines| async move { of_starts(start_each(&machines).await) })
    }

    /// Makes a VM of a start command, on all LANs, that is none of those that the test declares, and does not start it.
    #[zlink(more)]
    async fn create_machine(
        &self,
        more: bool,
        start_command: String,
        name: Option<String>,
        keep_machine_state: bool,
    ) -> impl Stream<Item = Result<Reply<Made>, Failure>> + Unpin {
        let session = self.session();
        let wanted = Wanted { start_command, name, keep_state: keep_machine_state };
        self.answer(more, "create a machine".into(), make::make(session.clone(), session.maker(), wanted))
    }

    /// Waits until all machines are gone. Stops the clock of the global timeout then.
    #[zlink(more)]
    async fn join_all(
        &self,
        more: bool,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        let session = self.session().clone();
        self.for_all(more, span, "wait for all VMs to finish", |machines| async move {
            for machine in machines {
                machine.wait_for_shutdown(None).await?;
            }
            session.timer().set(None);
            Ok::<_, driver_core::Error>(())
        })
    }

    /// Powers a machine off and waits until it is gone. Does nothing if it does not run.
    #[zlink(more)]
    async fn shutdown(
        &self,
        more: bool,
        machine: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "shutdown", |machine| async move { done(machine.shutdown().await) })
    }

    /// Ends a machine as a power cut would.
    #[zlink(more)]
    async fn crash(
        &self,
        more: bool,
        machine: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "crash", |machine| async move { done(machine.crash().await) })
    }

    /// Ends a machine as a power cut would, if it runs.
    #[zlink(more)]
    async fn release(
        &self,
        more: bool,
        machine: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "release", |machine| async move { done(machine.end().await) })
    }

    /// Asks a machine to reboot.
    #[zlink(more)]
    async fn reboot(
        &self,
        more: bool,
        machine: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "reboot", |machine| async move { done(machine.reboot().await) })
    }

    /// Waits until a machine is gone, however it ends.
    #[zlink(more)]
    async fn wait_for_shutdown(
        &self,
        more: bool,
        machine: String,
        timeout: Option<f64>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        let timeout = timeout.map(duration);
        self.verb(more, &machine, span, "wait for shutdown", move |machine| async move {
            done(machine.wait_for_shutdown(timeout).await)
        })
    }

    /// Says whether a machine runs, and by which process.
    async fn is_up(&self, machine: String) -> Result<Presence, Failure> {
        let machine = self.session().machine(&machine)?;
        let Process { is_ready, shells, pid, leader } = machine.process();
        Ok(Presence { up: machine.is_up(), ready: is_ready, shells, pid, leader })
    }

    /// Says where a machine keeps its state.
    async fn directories(&self, machine: String) -> Result<Directories, Failure> {
        make::directories(&self.session().machine(&machine)?)
    }

    /// Lets a machine with a start script, which must not run, keep its state in another directory.
    async fn set_state_directory(&self, machine: String, path: String) -> Result<(), Failure> {
        Ok(self.session().machine(&machine)?.keep_state_in(Path::new(&path))?)
    }

    /// Unplugs a machine from its first VLAN.
    #[zlink(more)]
    async fn block(
        &self,
        more: bool,
        machine: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "block", |machine| async move { done(machine.block().await) })
    }

    /// Undoes Block.
    #[zlink(more)]
    async fn unblock(
        &self,
        more: bool,
        machine: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "unblock", |machine| async move { done(machine.unblock().await) })
    }

    /// Runs a command.
    #[zlink(more)]
    async fn execute(
        &self,
        more: bool,
        machine: String,
        command: String,
        timeout: Option<f64>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Ran>, Failure>> + Unpin {
        let timeout = timeout.map(duration);
        self.verb(more, &machine, span, &format!("`{command}`"), move |machine| async move {
            ran(machine.execute(&command, timeout).await)
        })
    }

    /// Runs an interactive shell on a terminal of the client's, given by the path of its slave side, until the shell ends.
    #[zlink(more)]
    async fn shell(
        &self,
        more: bool,
        machine: String,
        terminal: String,
        term: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Ran>, Failure>> + Unpin {
        self.verb(more, &machine, span, "an interactive shell", move |machine| async move {
            interactive_shell(&machine, &terminal, &term).await
        })
    }

    /// Begins to run a command and does not wait for it. It goes on until the run ends.
    async fn execute_detached(
        &self,
        machine: String,
        command: String,
        timeout: Option<f64>,
        span: Option<u64>,
    ) -> Result<(), Failure> {
        let session = self.session();
        let machine = session.machine(&machine)?.within(span);
        let timeout = timeout.map(duration);
        session.detach(async move {
            if let Err(error) = machine.execute(&command, timeout).await {
                machine.recorder().message(Level::Warning, format!("`{command}`: {error}"));
            }
        });
        Ok(())
    }

    /// Runs a command that must succeed. The answer is its standard output.
    #[zlink(more)]
    async fn succeed(
        &self,
        more: bool,
        machine: String,
        command: String,
        timeout: Option<f64>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        let timeout = timeout.map(duration);
        self.verb(more, &machine, span, &format!("`{command}`, which must succeed"), move |machine| async move {
            text(machine.succeed(&command, timeout).await)
        })
    }

    /// Runs a command that must fail. The answer is its standard output.
    #[zlink(more)]
    async fn fail(
        &self,
        more: bool,
        machine: String,
        command: String,
        timeout: Option<f64>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        let timeout = timeout.map(duration);
        self.verb(more, &machine, span, &format!("`{command}`, which must fail"), move |machine| async move {
            text(machine.fail(&command, timeout).await)
        })
    }

    /// Runs a command again and again until it succeeds. The answer is its last standard output.
    #[zlink(more)]
    async fn wait_until_succeeds(
        &self,
        more: bool,
        machine: String,
        command: String,
        timeout: f64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("`{command}` to succeed"), move |machine| async move {
            text(machine.wait_until_succeeds(&command, duration(timeout)).await)
        })
    }

    /// Runs a command again and again until it fails. The answer is its last standard output.
    #[zlink(more)]
    async fn wait_until_fails(
        &self,
        more: bool,
        machine: String,
        command: String,
        timeout: f64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("`{command}` to fail"), move |machine| async move {
            text(machine.wait_until_fails(&command, duration(timeout)).await)
        })
    }

    /// Sleeps in a machine, by its clock.
    #[zlink(more)]
    async fn sleep(
        &self,
        more: bool,
        machine: String,
        seconds: f64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("sleep for {seconds} s"), move |machine| async move {
            done(machine.sleep(duration(seconds)).await)
        })
    }

    /// Runs systemctl, of a user's own manager if one is given.
    #[zlink(more)]
    async fn systemctl(
        &self,
        more: bool,
        machine: String,
        query: String,
        user: Option<String>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Ran>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("systemctl {query}"), |machine| async move {
            ran(machine.systemctl(&query, user.as_deref()).await)
        })
    }

    /// Starts a unit. A status other than 0 is no error.
    #[zlink(more)]
    async fn start_job(
        &self,
        more: bool,
        machine: String,
        job: String,
        user: Option<String>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Ran>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("start {job}"), |machine| async move {
            ran(machine.start_job(&job, user.as_deref()).await)
        })
    }

    /// Stops a unit. A status other than 0 is no error.
    #[zlink(more)]
    async fn stop_job(
        &self,
        more: bool,
        machine: String,
        job: String,
        user: Option<String>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Ran>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("stop {job}"), |machine| async move {
            ran(machine.stop_job(&job, user.as_deref()).await)
        })
    }

    /// Reads the properties of a unit.
    #[zlink(more)]
    async fn unit_info(
        &self,
        more: bool,
        machine: String,
        unit: String,
        user: Option<String>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Properties>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("properties of {unit}"), |machine| async move {
            let properties = machine.unit_info(&unit, user.as_deref()).await;
            properties.map(|properties| Properties { properties: Some(properties), waiting: None })
        })
    }

    /// Reads one property of a unit.
    #[zlink(more)]
    async fn unit_property(
        &self,
        more: bool,
        machine: String,
        unit: String,
        property: String,
        user: Option<String>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("property {property} of {unit}"), |machine| async move {
            text(machine.unit_property(&unit, &property, user.as_deref()).await)
        })
    }

    /// Requires that a unit is in a state now.
    #[zlink(more)]
    async fn require_unit_state(
        &self,
        more: bool,
        machine: String,
        unit: String,
        state: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("state of {unit}"), |machine| async move {
            done(machine.require_unit_state(&unit, &state).await)
        })
    }

    /// Waits until a unit is active. Fails at once if it failed, or is inactive and no job is going to change that.
    #[zlink(more)]
    async fn wait_for_unit(
        &self,
        more: bool,
        machine: String,
        unit: String,
        user: Option<String>,
        timeout: f64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("unit {unit}"), move |machine| async move {
            done(machine.wait_for_unit(&unit, user.as_deref(), duration(timeout)).await)
        })
    }

    /// Waits until a file exists.
    #[zlink(more)]
    async fn wait_for_file(
        &self,
        more: bool,
        machine: String,
        path: String,
        timeout: f64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("file {path}"), move |machine| async move {
            done(machine.wait_for_file(&path, duration(timeout)).await)
        })
    }

    /// Waits until the machine can connect to a TCP port.
    #[zlink(more)]
    async fn wait_for_open_port(
        &self,
        more: bool,
        machine: String,
        port: u16,
        address: String,
        timeout: f64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("open port {port} on {address}"), move |machine| async move {
            done(machine.wait_for_open_port(port, &address, duration(timeout)).await)
        })
    }

    /// Waits until the machine can no longer connect to a TCP port.
    #[zlink(more)]
    async fn wait_for_closed_port(
        &self,
        more: bool,
        machine: String,
        port: u16,
        address: String,
        timeout: f64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("closed port {port} on {address}"), move |machine| async move {
            done(machine.wait_for_closed_port(port, &address, duration(timeout)).await)
        })
    }

    /// Waits until the machine can connect to a unix socket.
    #[zlink(more)]
    async fn wait_for_open_unix_socket(
        &self,
        more: bool,
        machine: String,
        path: String,
        datagram: bool,
        timeout: f64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("open socket {path}"), move |machine| async move {
            done(machine.wait_for_open_unix_socket(&path, datagram, duration(timeout)).await)
        })
    }

    /// Reads all console lines of the current boot, joined by newlines.
    #[zlink(more)]
    async fn console_log(
        &self,
        more: bool,
        machine: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        self.verb(more, &machine, span, "console log", |machine| async move { text(Ok(machine.console_log())) })
    }

    /// Follows a console from a line of a boot on: first the lines that are there, then those that come, until the time is up or the machine
    /// is gone. If the machine is in another boot, from the beginning of that. Without more replies, only lines that are
    /// there.
    #[zlink(more)]
    async fn console_lines(
        &self,
        more: bool,
        machine: String,
        boot: u64,
        line: usize,
        timeout: Option<f64>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Excerpt>, Failure>> + Unpin {
        let session = self.session();
        let replies: Replies<Excerpt> = match session.machine(&machine) {
            Ok(machine) => {
                let follower = Follower::new(session.clone(), machine.within(span), (boot, line));
                if more {
                    follower.stream(timeout.map(duration)).boxed_local()
                } else {
                    iter([Ok(follower.now())]).boxed_local()
                }
            }
            Err(failure) => iter([Err(failure)]).boxed_local(),
        };
        replies
    }

    /// Types a text into a machine's console.
    #[zlink(more)]
    async fn send_console(
        &self,
        more: bool,
        machine: String,
        text: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "typing into the console", |machine| async move {
            done(machine.send_console(text.as_bytes()).await)
        })
    }

    /// Presses keys by their names, such as `ctrl-alt-f1`, and pauses. Recorded as a step unless told otherwise.
    #[zlink(more)]
    async fn send_key(
        &self,
        more: bool,
        machine: String,
        key: String,
        delay: f64,
        log: Option<bool>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("key {key}"), move |machine| async move {
            done(match log {
                Some(false) => machine.press_key(&key, duration(delay)).await,
                Some(true) | None => machine.send_key(&key, duration(delay)).await,
            })
        })
    }

    /// Presses the keys that type a text, each with a pause after it.
    #[zlink(more)]
    async fn send_chars(
        &self,
        more: bool,
        machine: String,
        text: String,
        delay: f64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "typing", move |machine| async move {
            done(machine.send_chars(&text, duration(delay)).await)
        })
    }

    /// Moves the pointer to a place given as parts of the screen's width and height, 0 to 1.
    #[zlink(more)]
    async fn move_pointer(
        &self,
        more: bool,
        machine: String,
        x: f64,
        y: f64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "moving the pointer", move |machine| async move {
            done(machine.move_pointer(x, y).await)
        })
    }

    /// Presses and releases a button of the pointer.
    #[zlink(more)]
    async fn click(
        &self,
        more: bool,
        machine: String,
        button: PointerButton,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "click", move |machine| async move { done(machine.click(button.into()).await) })
    }

    /// Saves what the screen shows as a PNG file: by its name in the output directory, or by its path; answers with the path.
    #[zlink(more)]
    async fn screenshot(
        &self,
        more: bool,
        machine: String,
        file: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        self.verb(more, &machine, span, "screenshot", |machine| async move {
            text(machine.screenshot(&file).await.map(|path| path.to_string_lossy().into_owned()))
        })
    }

    /// Reads the text on the screen: first as it is, then in other ways that may read it better. Without more replies, only as it is.
    #[zlink(more)]
    async fn screen_texts(
        &self,
        more: bool,
        machine: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        let session = self.session();
        let replies: Replies<Text> = match session.machine(&machine) {
            Ok(machine) => screen::texts(session.runtime().clone(), machine.within(span), more).boxed_local(),
            Err(failure) => iter([Err(failure)]).boxed_local(),
        };
        replies
    }

    /// Reads the text of a virtual terminal.
    #[zlink(more)]
    async fn tty_text(
        &self,
        more: bool,
        machine: String,
        tty: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("text of tty {tty}"), |machine| async move {
            text(machine.tty_text(&tty).await)
        })
    }

    /// Runs a line of QEMU's human monitor and answers with what it prints.
    #[zlink(more)]
    async fn monitor_command(
        &self,
        more: bool,
        machine: String,
        command: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("monitor command {command}"), |machine| async move {
            text(machine.monitor_command(&command).await)
        })
    }

    /// Runs a QMP command whose arguments are a JSON object as text, and answers with JSON.
    #[zlink(more)]
    async fn qmp(
        &self,
        more: bool,
        machine: String,
        command: String,
        arguments: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("QMP command {command}"), |machine| async move {
            qmp(&machine, &command, &arguments).await
        })
    }

    /// Waits for the machine's next QMP event that was not handed out before, and answers with it as JSON.
    #[zlink(more)]
    async fn next_qmp_event(
        &self,
        more: bool,
        machine: String,
        timeout: f64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        self.verb(more, &machine, span, "QMP event", move |machine| async move {
            let event = machine.wait_for_qmp_event(|_| true, duration(timeout)).await;
            text(event.map(|event| event.to_string()))
        })
    }

    /// Forwards connections to a port of the host's loopback interface, 0 for any, to a port of the machine; answers with the host's address.
    #[zlink(more)]
    async fn forward_port(
        &self,
        more: bool,
        machine: String,
        host_port: u16,
        guest_port: u16,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Text>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("forward to port {guest_port}"), move |machine| async move {
            text(machine.forward_port(host_port, guest_port).await.map(|address| address.to_string()))
        })
    }

    /// Lets no frame pass between machines of different groups, or only from the first of two groups to the second. Partitions add up.
    #[zlink(more)]
    async fn partition(
        &self,
        more: bool,
        vlan: i64,
        groups: Vec<Vec<String>>,
        one_way: bool,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.lan(more, vlan, span, "partition", move |vlan| lan::partition(vlan, groups, one_way))
    }

    /// Lets no frame pass between a machine and all others.
    #[zlink(more)]
    async fn isolate(
        &self,
        more: bool,
        vlan: i64,
        machine: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.lan(more, vlan, span, "isolate", move |vlan| lan::isolate(vlan, machine))
    }

    /// Ends all partitions and isolations of a LAN.
    #[zlink(more)]
    async fn heal(
        &self,
        more: bool,
        vlan: i64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.lan(more, vlan, span, "heal", lan::heal)
    }

    /// Counts what passed the links of all machines of a LAN, and what did not.
    #[zlink(more)]
    async fn vlan_stats(
        &self,
        more: bool,
        vlan: i64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Counts>, Failure>> + Unpin {
        self.lan(more, vlan, span, "stats", lan::vlan_stats)
    }

    /// Has a machine's link to a LAN treat frames as told, in both directions unless one is named, in place of what was told before.
    #[zlink(more)]
    async fn impair(
        &self,
        more: bool,
        machine: String,
        vlan: i64,
        direction: Option<LinkDirection>,
        faults: Faults,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "impair", move |machine| lan::impair(machine, vlan, direction, faults))
    }

    /// Undoes Impair.
    #[zlink(more)]
    async fn clear_link(
        &self,
        more: bool,
        machine: String,
        vlan: i64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "clear", move |machine| lan::clear(machine, vlan))
    }

    /// Takes a machine's link to a LAN down, or up again.
    #[zlink(more)]
    async fn set_link(
        &self,
        more: bool,
        machine: String,
        vlan: i64,
        up: bool,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, "set link", move |machine| lan::set(machine, vlan, up))
    }

    /// Counts what passed a machine's link to a LAN, and what did not.
    #[zlink(more)]
    async fn link_stats(
        &self,
        more: bool,
        machine: String,
        vlan: i64,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Counts>, Failure>> + Unpin {
        self.verb(more, &machine, span, "stats", move |machine| lan::link_stats(machine, vlan))
    }

    /// Begins to write the frames on a LAN, or what one machine sends and receives there, to a pcapng file below the output directory. With
    /// a limit in bytes the oldest frames go first.
    #[zlink(more)]
    async fn start_capture(
        &self,
        more: bool,
        vlan: i64,
        machine: Option<String>,
        file: String,
        limit: Option<u64>,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Capturing>, Failure>> + Unpin {
        let captures = self.session().captures().clone();
        match machine {
            Some(machine) => self.verb(more, &machine, span, "capture", move |machine| {
                lan::capture_link(captures, machine, vlan, file, limit)
            }),
            None => self.lan(more, vlan, span, "capture", move |vlan| lan::capture_vlan(captures, vlan, file, limit)),
        }
    }

    /// Ends a capture once all that passed before is in its file. Those that are left end with the script.
    #[zlink(more)]
    async fn stop_capture(
        &self,
        more: bool,
        capture: u64,
    ) -> impl Stream<Item = Result<Reply<Captured>, Failure>> + Unpin {
        let captures = self.session().captures().clone();
        self.answer(more, format!("end of capture {capture}"), lan::stop_capture(captures, capture))
    }

    /// Copies a file or directory of the host, given by its absolute path, into a machine.
    #[zlink(more)]
    async fn copy_from_host(
        &self,
        more: bool,
        machine: String,
        source: String,
        target: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("copy of {source}"), |machine| async move {
            done(machine.copy_from_host(Path::new(&source), &target).await)
        })
    }

    /// Copies a file or directory of a machine into a directory below the output directory.
    #[zlink(more)]
    async fn copy_from_machine(
        &self,
        more: bool,
        machine: String,
        source: String,
        target_directory: String,
        span: Option<u64>,
    ) -> impl Stream<Item = Result<Reply<Done>, Failure>> + Unpin {
        self.verb(more, &machine, span, &format!("copy of {source}"), |machine| async move {
            done(machine.copy_from_machine(&source, Path::new(&target_directory)).await)
        })
    }

    /// Records a message; a serial one as lines of the machine's console.
    async fn log(
        &self,
        level: Severity,
        message: String,
        machine: Option<String>,
        serial: Option<bool>,
        span: Option<u64>,
    ) {
        let recorder = self.session().recorder(machine.as_deref(), span);
        if serial.unwrap_or(false) {
            message.lines().for_each(|line| recorder.record(Kind::Console { line: line.into() }));
        } else {
            recorder.message(level.into(), message);
        }
    }

    /// Begins a span: a step with others inside it. Its attributes are for reports.
    async fn span_start(
        &self,
        title: String,
        subtest: bool,
        machine: Option<String>,
        attributes: Option<BTreeMap<String, String>>,
        span: Option<u64>,
    ) -> Begun {
        let session = self.session();
        let recorder = session.recorder(machine.as_deref(), span);
        Begun { span: session.begin_span(recorder.span_with(title, subtest, attributes.unwrap_or_default())) }
    }

    /// Ends a span, with the reason if the step failed.
    async fn span_end(&self, span: u64, failure: Option<String>) {
        self.session().end_span(span, failure);
    }

    /// Shows the consoles of machines on the terminal, or no longer. They are recorded in any case.
    async fn show_consoles(&self, shown: bool) {
        self.session().show_consoles(shown);
    }

    /// Says what the script finds defined, as people are told it.
    async fn announce(&self, text: String) {
        self.session().announce(&text);
    }

    /// Starts the clock of the global timeout anew. Only a prompt has one to start; a script's runs from its beginning.
    async fn start_timer(&self) {
        self.session().start_timer(true);
    }

    /// Stops the clock that `StartTimer` started.
    async fn stop_timer(&self) {
        self.session().start_timer(false);
    }

    /// Says that the script came to its end.
    async fn report_success(&self) {
        self.session().say(Said::Success);
    }

    /// Says that the script failed, with what people are told, and whether the reason was a machine that broke.
    async fn report_failure(&self, report: String, machine_failed: bool) {
        self.session().say(if machine_failed { Said::MachineFailure(report) } else { Said::Failure(report) });
    }
}
