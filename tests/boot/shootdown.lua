-- harts: 2 4
-- kmon: --append sbi.rfence=1
-- Shootdown by the firmware (SBI RFENCE); all other tests do it by the kernel's own interrupts.
is(host.sh("stress 4 6"), 0, "fork, copy on write, threads and mappings on all harts")
ok(k.harts[1].ipis_taken + k.harts[0].ipis_taken > 0, "harts interrupted each other")
done()
