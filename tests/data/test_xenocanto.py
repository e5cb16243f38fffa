import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdcore.data.downloads import Unavailable
from birdcore.data.xenocanto import (
    QUALITIES,
    XENO_CANTO,
    XenoCantoRecording,
    connect,
    filter_recordings,
    find_key,
    rank_recordings,
    search_recordings,
)
from birdcore.errors import ConfigError, DataError
from tests.xenocanto_server import KEY, XenoCantoServer, record

GREAT, SEDGE = "Acrocephalus arundinaceus", "Acrocephalus schoenobaenus"


@pytest.fixture
def server():
    with XenoCantoServer([]) as server:
        yield server


@pytest.fixture
def connection(server):
    with connect(server.address, key=KEY, interval=0) as connection:
        yield connection


def found(server, connection, *records):
    server.records = list(records)
    return search_recordings(connection, "gen:Acrocephalus")


def bare_recording(number, quality, recordist):
    """A recording of which only what ranks it is known."""
    known = {"number": str(number), "scientific_name": GREAT, "quality": quality, "recordist": recordist}
    return XenoCantoRecording(**dict.fromkeys(XenoCantoRecording.__dataclass_fields__, "") | known)


class TestSearch:
    def test_a_record_is_read_field_by_field(self, server, connection):
        (recording,) = found(server, connection, record(694038))
        assert (recording.number, recording.scientific_name) == ("694038", GREAT)
        assert (recording.common_name, recording.recordist) == ("English arundinaceus", "Recordist 0")
        assert (recording.latitude, recording.longitude, recording.elevation) == (42.8373, -8.652, 30.0)
        assert (recording.country, recording.location) == ("Spain", "Sisalde, Ames, A Coruña, Galicia")
        assert (recording.sound_type, recording.sex, recording.stage) == ("song", "male", "adult")
        assert (recording.date, recording.time, recording.length) == ("2021-12-03", "09:30", "0:01")
        assert (recording.quality, recording.licence) == ("A", "cc-by-nc-sa")
        assert recording.licence_address == "https://creativecommons.org/licenses/by-nc-sa/4.0/"
        assert (recording.also, recording.suffix) == (("Turdus philomelos",), ".wav")
        assert recording.file == f"{server.address}/694038/download"

    def test_all_pages_are_read_with_the_query_as_given(self, server, connection):
        seen = []
        server.records = [record(number) for number in range(1, 121)]
        query = 'sp:"larus fuscus" q:">C" len:"<30"'
        recordings = search_recordings(
            connection, query, per_page=50, progress=lambda done, total: seen.append((done, total))
        )
        assert [int(recording.number) for recording in recordings] == list(range(1, 121))
        assert seen == [(1, 3), (2, 3), (3, 3)]
        assert [search["page"] for search in server.searches] == ["1", "2", "3"]
        assert {(search["query"], search["per_page"], search["key"]) for search in server.searches} == {
            (query, "50", KEY)
        }

    def test_a_recording_that_slips_to_the_next_page_is_taken_once(self, server, connection):
        assert len(found(server, connection, record(1), record(2), record(2), record(3))) == 3

    def test_nothing_found_is_an_empty_list(self, server, connection):
        assert found(server, connection) == []

    def test_null_missing_and_odd_values_are_empty(self, server, connection):
        odd = record(
            5,
            lat=None,
            lon="east",
            alt="?",
            time="?",
            date="2021-13-40",
            length=None,
            q="no score",
            lic=None,
            also=None,
        )
        odd |= {"rec": None, "sono": None, "temp": None, "en": 7}
        del odd["stage"]
        (recording,) = found(server, connection, odd)
        assert (recording.latitude, recording.longitude, recording.elevation) == (None, None, None)
        assert (recording.time, recording.date, recording.length, recording.stage) == ("", "", "", "")
        assert (recording.quality, recording.licence, recording.also, recording.recordist) == ("none", "", (), "")

    def test_records_without_a_number_are_passed_over(self, server, connection):
        odd = [record(1) | {"id": text} for text in ("", "../../etc/passwd", "0", "1e3", "12345678901")]
        (recording,) = found(server, connection, *odd, record(9))
        assert recording.number == "9"

    @pytest.mark.parametrize(
        "changes",
        [
            {"gen": "Mystery", "sp": "mystery"},
            {"gen": "Sonus", "sp": "naturalis"},
            {"sp": "sp."},
            {"gen": "", "sp": ""},
            {"sp": "../x"},
        ],
    )
    def test_what_is_no_species_has_no_name(self, server, connection, changes):
        (recording,) = found(server, connection, record(1) | changes)
        assert recording.scientific_name == ""

    @pytest.mark.parametrize(
        ("address", "licence"),
        [
            ("//creativecommons.org/licenses/by/4.0/", "cc-by"),
            ("https://creativecommons.org/licenses/by-nc-nd/2.5/", "cc-by-nc-nd"),
            ("//creativecommons.org/licenses/by-nd-nc/1.0/", "cc-by-nc-nd"),
            ("//creativecommons.org/publicdomain/zero/1.0/", "cc0"),
            ("//example.org/all-rights-reserved", ""),
        ],
    )
    def test_licences_are_named_whatever_their_version(self, server, connection, address, licence):
        (recording,) = found(server, connection, record(1, lic=address))
        assert recording.licence == licence

    def test_text_becomes_one_printable_line(self, server, connection):
        (recording,) = found(server, connection, record(1, loc="a\nb\u2028c\x1b[31m\x00" + "d" * 1000))
        assert recording.location.startswith("a b c [31m d")
        assert len(recording.location) == 300

    @pytest.mark.parametrize("per_page", [49, 501])
    def test_page_sizes_that_the_server_refuses_are_refused_here(self, connection, per_page):
        with pytest.raises(ConfigError, match="50 to 500"):
            search_recordings(connection, "gen:Parus", per_page=per_page)

    def test_an_empty_query_is_refused(self, connection):
        with pytest.raises(ConfigError, match="query is empty"):
            search_recordings(connection, "  ")


class TestRefusals:
    def test_a_wrong_key_is_explained_without_showing_it(self, server):
        wrong = "f" * 40
        with (
            connect(server.address, key=wrong, interval=0) as connection,
            pytest.raises(ConfigError, match=r"refuses the access key .*xeno-canto.org/account") as caught,
        ):
            search_recordings(connection, "gen:Parus")
        assert wrong not in str(caught.value)

    @pytest.mark.parametrize(
        "reply",
        [
            {"error": "client_error", "message": "Xeno-canto API v3 only accepts queries using tags."},
            {"error": {"code": "client_error", "message": "Xeno-canto API v3 only accepts queries using tags."}},
        ],
    )
    def test_both_shapes_of_error_are_understood(self, server, connection, reply):
        server.replies = [(400, {}, json.dumps(reply).encode())]
        with pytest.raises(DataError, match="client_error: Xeno-canto API v3 only accepts queries using tags"):
            search_recordings(connection, "great tit")

    def test_an_error_with_status_200_is_an_error(self, server, connection):
        reply = {"error": {"code": "missing_parameter", "message": "No query specified"}}
        server.replies = [(200, {}, json.dumps(reply).encode())]
        with pytest.raises(DataError, match="missing_parameter: No query specified"):
            search_recordings(connection, "gen:Parus")

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"<html>maintenance</html>", "not a page of recordings"),
            (b"[]", "not a page of recordings"),
            (b'{"recordings": {}}', "not a page of recordings"),
            (b'{"recordings": [], "page": 1}', "count its pages"),
            (b'{"recordings": [], "page": 2, "numPages": 2}', "count its pages"),
            (b'{"recordings": [], "page": 1, "numPages": 99999999}', "count its pages"),
        ],
    )
    def test_a_reply_that_is_no_page_is_refused(self, server, connection, body, message):
        server.replies = [(200, {}, body)]
        with pytest.raises(DataError, match=message):
            search_recordings(connection, "gen:Parus")

    def test_an_address_without_the_interface_says_so(self, server):
        with (
            connect(f"{server.address}/elsewhere", key=KEY, interval=0) as connection,
            pytest.raises(DataError, match="status 404; is the address right"),
        ):
            search_recordings(connection, "gen:Parus")

    def test_a_key_that_the_server_echoes_is_masked(self, server, connection):
        reply = {"error": "server_error", "message": f"no luck with {KEY} today"}
        server.replies = [(400, {}, json.dumps(reply).encode())]
        with pytest.raises(DataError, match=r"no luck with \*\*\* today"):
            search_recordings(connection, "gen:Parus")

    def test_the_key_is_in_no_log_at_any_level(self, server, connection, caplog):
        caplog.set_level(logging.DEBUG)
        server.records = [record(1)]
        search_recordings(connection, "gen:Parus")
        assert "key=***" in caplog.text
        assert KEY not in caplog.text

    def test_the_key_is_not_in_the_error_of_a_server_out_of_reach(self):
        with (
            connect("http://127.0.0.1:9", key=KEY, interval=0) as connection,
            pytest.raises(Unavailable, match="cannot be reached") as caught,
        ):
            search_recordings(connection, "gen:Parus")
        shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
        assert KEY not in shown

    def test_the_key_does_not_follow_a_redirection(self, server, connection):
        server.replies = [(302, {"Location": f"{server.address}/elsewhere"}, b"")]
        with pytest.raises(DataError, match=r"sends us to 127\.0\.0\.1 instead"):
            search_recordings(connection, "gen:Parus")


class TestKey:
    def test_without_a_key_it_is_said_where_to_get_one(self, monkeypatch):
        monkeypatch.delenv("XENO_CANTO_KEY", raising=False)
        with pytest.raises(ConfigError, match=r"XENO_CANTO_KEY is not set.*xeno-canto.org/account"):
            find_key()

    def test_the_key_is_stripped(self, monkeypatch):
        monkeypatch.setenv("XENO_CANTO_KEY", f" {KEY}\n")
        assert find_key() == KEY

    def test_what_cannot_be_a_key_is_not_shown(self, monkeypatch):
        monkeypatch.setenv("XENO_CANTO_KEY", "two words")
        with pytest.raises(ConfigError, match="white space") as caught:
            find_key()
        assert "two words" not in str(caught.value)

    def test_xeno_canto_is_not_asked_more_often_than_it_allows(self):
        with pytest.raises(ConfigError, match="one request a second"):
            connect(XENO_CANTO, key=KEY, interval=0.5)


class TestChoice:
    def test_filters_keep_licences_and_qualities_and_count_the_rest(self, server, connection):
        recordings = found(
            server,
            connection,
            record(1),
            record(2, lic="//creativecommons.org/licenses/by/4.0/"),
            record(3, lic="//creativecommons.org/licenses/by/4.0/", q="C"),
            record(4, file="", **{"file-name": ""}),
            record(5, sp="sp."),
            record(6, **{"file-name": "XC6.exe"}),
        )
        kept, left_out = filter_recordings(recordings, licences=["cc-by"], qualities=["A", "B"])
        assert [recording.number for recording in kept] == ["2"]
        assert left_out == {
            "other licence": 1,
            "other quality": 1,
            "sound withheld by Xeno-canto": 1,
            "not identified to a species": 1,
            "not in an audio format known here": 1,
        }
        assert len(filter_recordings(recordings)[0]) == 3

    def test_the_best_quality_comes_first_then_every_recordist_once(self, server, connection):
        recordings = found(
            server,
            connection,
            record(1, rec="Ann"),
            record(2, rec="Ann"),
            record(3, rec="Bob", q="B"),
            record(4, rec="Cid"),
            record(5, rec="Ann"),
            record(6, rec="Dot", q="no score"),
            record(7, species=SEDGE),
        )
        ranked = rank_recordings(recordings)
        assert list(ranked) == [GREAT, SEDGE]
        assert [recording.number for recording in ranked[GREAT]] == ["1", "4", "2", "5", "3", "6"]

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(QUALITIES), st.sampled_from(["Ann", "Bob", "Cid"])), min_size=1, max_size=12)
    )
    def test_within_a_quality_nobody_comes_twice_before_everybody_came_once(self, kinds):
        recordings = [bare_recording(i + 1, quality, recordist) for i, (quality, recordist) in enumerate(kinds)]
        ranked = rank_recordings(recordings)[GREAT]
        assert sorted(map(id, ranked)) == sorted(map(id, recordings))
        assert [r.quality for r in ranked] == sorted((r.quality for r in ranked), key=QUALITIES.index)
        for quality in QUALITIES:
            people = [r.recordist for r in ranked if r.quality == quality]
            num_people = len(set(people))
            assert len(set(people[:num_people])) == num_people
