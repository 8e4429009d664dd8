#include <gtest/gtest.h>

#include "esp_log.h"

int main(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    esp_log_level_set("*", ESP_LOG_NONE);
    return RUN_ALL_TESTS();
}
