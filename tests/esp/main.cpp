#include <gtest/gtest.h>

#include "esp_log.h"

int main(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    esp_log_level_set("*", ESP_LOG_NONE);
    return RUN_ALL_TESTS();
}

/// What OpenSSL keeps for a thread is lost when the thread ends behind OpenSSL's own clean-up at exit. Threads of
/// clients that end themselves may be that late; it is no memory of tern's.
extern "C" const char* __lsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier,cert-dcl37-c)
extern "C" const char* __lsan_default_suppressions() { return "leak:libcrypto.so\n"; }
