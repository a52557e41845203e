//! The program.

fn main() -> std::process::ExitCode {
    triggerfish::cli::main()
}
