#include "loop_mutex.hpp"

#if defined(__linux__)
#include <linux/membarrier.h>
#include <unistd.h>

#include <sys/syscall.h>
#endif

namespace tern::driver {

#if defined(__linux__) && defined(SYS_membarrier)

bool prepare_barrier() noexcept {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void raise_barrier() noexcept {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return;
    // The program has forbidden the call to itself meanwhile. No CPU keeps a write to itself for so long.
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

#else

bool prepare_barrier() noexcept { return false; }
void raise_barrier() noexcept {}

#endif

}  // namespace tern::driver
