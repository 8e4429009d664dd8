/* Everything is in FreeRTOS.h. */
#pragma once

#include "freertos/FreeRTOS.h"
