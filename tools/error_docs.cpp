// Writes docs/errors.md from the error table. `./dev docs` runs it, and a test compares the committed page.
#include <cstdio>
#include <string>

#include <tern/error.hpp>

int main() {
    std::puts("# Errors\n");
    std::puts("Made from `include/tern/error_table.inc` by `./dev docs`; change the table, not this page.\n");
    std::puts(
        "`tern::Error::message()` puts these texts into one line with the phase, the peer and what exactly was wrong.");
    std::puts(
        "*Close code*: what the peer is told when a connection fails with the error. *Retry*: whether and when the");
    std::puts(
        "client tries again by itself (`tern::Retry`); docs/reconnecting.md says how, and what an HTTP status or the");
    std::puts("peer's close code changes about it.");
    tern::Condition condition{};
    for (const tern::ErrorRow& row : tern::error_table()) {
        if (row.condition != condition) {
            condition = row.condition;
            std::printf("\n## %s\n\n", std::string(tern::condition_name(condition)).c_str());
            std::puts("| name | number | close code | retry | meaning |\n|---|---|---|---|---|");
        }
        const std::string close_code = row.close_code == 0 ? "" : std::to_string(row.close_code);
        std::printf("| `%s` | %d | %s | %s | %s |\n", std::string(row.name).c_str(), static_cast<int>(row.code),
                    close_code.c_str(), std::string(tern::retry_name(row.retry)).c_str(),
                    std::string(row.text).c_str());
    }
    return 0;
}
