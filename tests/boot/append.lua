-- harts: 2 4
-- A file that grows while it is written back all the time is whole on the disk.
is(host.sh("append /mnt/grows 2048", 60000), 0, "2 MiB are appended, beside two that sync")
is(host.sh("umount /mnt && mount -t vfat /dev/vda /mnt"), 0, "nothing of it is cached any more")
is(select(2, host.sh("append -c /mnt/grows 2048", 60000)), "append: 0 bytes wrong\n", "every byte is on the disk")
done()
