-- harts: 2 4
-- kmon: --append sbi.rfence=0
-- Shootdown by the kernel's own interrupts, as on firmware without RFENCE.
is(host.sh("stress 4 6"), 0, "fork, copy on write, threads and mappings on all harts")
ok(k.harts[1].ipis_taken + k.harts[0].ipis_taken > 0, "harts interrupted each other")
done()
