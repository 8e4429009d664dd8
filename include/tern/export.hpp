// What a shared library of tern shows; everything else stays inside.
#pragma once

/// Marks what users call. Only that leaves libtern.so: it is compiled with hidden visibility.
#if defined(__GNUC__)
#define TERN_API __attribute__((visibility("default")))
#else
#define TERN_API
#endif
