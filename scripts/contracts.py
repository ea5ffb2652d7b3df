"""An import contract of our own for import-linter: areas of the backend meet only at their service."""

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

PUBLIC_MODULE = "service"


class AreasContract(Contract):
    """One area of a package reaches another only through the other's `service`.

    An area is a direct child package of `package` that has a `service`, `routes` or `tables` module.
    """

    type_name = "areas"
    package = fields.StringField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001  import-linter's signature
        """Collect imports from inside one area to a private module of another."""
        package = str(self.package)
        areas = {
            child
            for child in graph.find_children(package)
            if {f"{child}.{name}" for name in (PUBLIC_MODULE, "routes", "tables")} & graph.find_children(child)
        }
        broken = sorted(
            f"{module} imports {target}"
            for area in areas
            for module in {area, *graph.find_descendants(area)}
            for target in graph.find_modules_directly_imported_by(module)
            if _crosses(target, area, areas)
        )
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each forbidden import."""
        for line in check.metadata["broken"]:
            output.print_error(f"- {line}")


def _crosses(target: str, own: str, areas: set[str]) -> bool:
    other = next((area for area in areas if target == area or target.startswith(f"{area}.")), None)
    return other is not None and other != own and target != f"{other}.{PUBLIC_MODULE}"
