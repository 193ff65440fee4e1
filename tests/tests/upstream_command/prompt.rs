//! A prompt in the place of the script (`-I`).

use tandem_tests::TestResult;

use super::ground::{Ground, PATIENCE, in_order};

#[test]
fn interactive_is_a_prompt_and_not_the_script() -> TestResult {
    let ground = Ground::new()?;
    ground.script("print('the script runs')\n")?;
    // What is not a terminal is read line by line.
    let lines = "print('six times seven is', 6 * 7)\\nno_such_name\\ntest_script()\\nprint('the end')\\n";
    let command = format!("cd {} && printf \"{lines}\" | exec ./nixos-test-driver \"$@\"", ground.text(""));
    let ended = ground.shell(&command, &["--interactive"])?.wait(PATIENCE)?;
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.status, 0, "{all}");
    in_order(&ended.stdout, &["additionally exposed symbols:", "six times seven is 42", "the script runs", "the end"])?;
    assert_eq!(all.matches("the script runs").count(), 1, "{all}");
    assert!(all.contains("name 'no_such_name' is not defined"), "{all}");
    assert!(!all.contains("Test will time out"), "the clock does not run at a prompt: {all}");
    assert_eq!(ground.names("state"), [""; 0]);
    Ok(())
}
