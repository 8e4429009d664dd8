// Everything for programs that use tern through `tern::Client`.
#pragma once

#include <tern/client.hpp>
#include <tern/config.hpp>
#include <tern/error.hpp>
#include <tern/loop.hpp>
#include <tern/message.hpp>
#include <tern/trace.hpp>
