from dataclasses import replace

from controller.signals.present import Present
from tests.fakes.controller_parts import pool, site
from tests.fakes.rosters import Told, roster

SITE = site(pool("a", ("http://10.0.0.1:8000",)), replace(pool("b", ("http://10.0.0.2:8000",)), instances=(), places=3))


def names(found):
    return {each.pool_id: [instance.instance_id for instance in each.instances] for each in found.pools}


def test_a_site_that_lists_its_instances_is_whole_and_never_changes():
    listed = site(pool("a", ("http://10.0.0.1:8000",)))
    present = Present(listed)
    assert present.is_whole
    assert present.site() is listed
    assert present.rosters == ()


def test_a_pool_that_was_never_told_has_none_and_the_site_is_not_whole():
    present = Present(SITE, Told())
    assert not present.is_whole
    assert names(present.site()) == {"a": ["a-0"], "b": []}


def test_the_instances_are_those_last_told_without_places_for_more():
    source = Told(roster("b", pod2="http://10.0.0.4:8000", pod1="http://10.0.0.3:8000"))
    present = Present(SITE, source)
    assert present.is_whole
    assert names(present.site()) == {"a": ["a-0"], "b": ["pod1", "pod2"]}
    source.rosters = (roster("b", pod2="http://10.0.0.9:8000"),)
    assert [(i.instance_id, i.url) for i in present.site().pools[1].instances] == [("pod2", "http://10.0.0.9:8000")]
    source.rosters = (roster("b"),)
    assert present.is_whole
    assert names(present.site())["b"] == []


def test_the_site_is_the_same_object_while_nothing_changes():
    source = Told(roster("b", pod1="http://10.0.0.3:8000"))
    present = Present(SITE, source)
    first = present.site()
    source.rosters = (roster("b", pod1="http://10.0.0.3:8000"),)
    assert present.site() is first


def test_the_gpus_of_pods_are_known_once_a_source_tells_them():
    present = Present(SITE, Told(roster("b", pod1="http://10.0.0.3:8000", pod2="http://10.0.0.4:8000")))
    assert [i.gpu_uuids for i in present.site().pools[1].instances] == [(), ()]
    present.take_owners({"GPU-2": "pod1", "GPU-1": "pod1", "GPU-9": "another"})
    assert [i.gpu_uuids for i in present.site().pools[1].instances] == [("GPU-1", "GPU-2"), ()]
    assert present.rosters[0].instances == present.site().pools[1].instances
    assert present.site().pools[0].instances == SITE.pools[0].instances
    present.take_owners({"GPU-1": "pod2"})
    assert [i.gpu_uuids for i in present.site().pools[1].instances] == [(), ("GPU-1",)]
