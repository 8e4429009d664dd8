// A build without io_uring.
#include "ring.hpp"

namespace tern::driver {

std::unique_ptr<Ring> Ring::open(int) noexcept { return nullptr; }

}  // namespace tern::driver
