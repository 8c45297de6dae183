"""More of CloudFormation's types over moto's services: functions, APIs, endpoints, scaling, schedules."""

from __future__ import annotations

from typing import Any

from moto.sagemaker.models import FakeEndpoint, sagemaker_backends

from tests.places.aws.moto_glue import ACCOUNT, Properties, Resource


class Function(Resource):
    type, service, fixed = "AWS::Lambda::Function", "lambda", ("FunctionName",)

    def create(self, given: Properties) -> None:
        name = given.get("FunctionName", self.generated)
        arn = self.api.create_function(**{**given, "FunctionName": name})["FunctionArn"]
        self.known(name, arn, Arn=arn)

    def update(self, given: Properties) -> None:
        settings = {key: value for key, value in given.items() if key not in ("Code", "Architectures")}
        code = {**given["Code"], "Architectures": given.get("Architectures", ["x86_64"])}
        name = self.physical_resource_id
        self.api.update_function_code(FunctionName=name, **code)
        self.api.update_function_configuration(**{**settings, "FunctionName": name})

    def delete(self) -> None:
        self.api.delete_function(FunctionName=self.physical_resource_id)


class Version(Resource):
    type, service, fixed = "AWS::Lambda::Version", "lambda", ("FunctionName",)

    def create(self, given: Properties) -> None:
        there = self.api.list_versions_by_function(FunctionName=given["FunctionName"])["Versions"]
        made = self.api.publish_version(**given)
        number, arn = made["Version"], made["FunctionArn"]
        if number in [entry["Version"] for entry in there]:
            why = f"A version for this Lambda function exists ( {number} )."
            raise ValueError(f"{why} Modify the function to create a new version.")
        self.known(arn, Version=number, FunctionArn=arn)

    def delete(self) -> None:
        function, _, number = self.physical_resource_id.rpartition(":")
        self.api.delete_function(FunctionName=function, Qualifier=number)


class Alias(Resource):
    type, service, fixed = "AWS::Lambda::Alias", "lambda", ("FunctionName", "Name")

    def create(self, given: Properties) -> None:
        arn = self.api.create_alias(**given)["AliasArn"]
        self.known(arn, AliasArn=arn)

    def update(self, given: Properties) -> None:
        self.api.update_alias(**given)

    def delete(self) -> None:
        self.api.delete_alias(FunctionName=self.properties["FunctionName"], Name=self.properties["Name"])


class Permission(Resource):
    type, service = "AWS::Lambda::Permission", "lambda"
    fixed = ("Action", "FunctionName", "Principal", "SourceArn")

    def create(self, given: Properties) -> None:
        self.api.add_permission(**_qualified(given), StatementId=self.generated)
        self.known(self.generated, Id=self.generated)

    def delete(self) -> None:
        where = _qualified({"FunctionName": self.properties["FunctionName"]})
        self.api.remove_permission(**where, StatementId=self.physical_resource_id)


def _qualified(given: Properties) -> Properties:
    name, _, qualifier = given["FunctionName"].partition(":")
    return {**given, "FunctionName": name, **({"Qualifier": qualifier} if qualifier else {})}


class Api(Resource):
    type, service, fixed = "AWS::ApiGatewayV2::Api", "apigatewayv2", ("ProtocolType",)

    def create(self, given: Properties) -> None:
        made = self.api.create_api(**given)
        identity = made["ApiId"]
        self.known(identity, f"arn:aws:apigateway:{self.region}::/apis/{identity}", ApiId=identity,
                   ApiEndpoint=f"https://{identity}.execute-api.{self.region}.amazonaws.com")  # fmt: skip

    def update(self, given: Properties) -> None:
        settings = {key: value for key, value in given.items() if key != "ProtocolType"}
        self.api.update_api(ApiId=self.physical_resource_id, **settings)

    def delete(self) -> None:
        self.api.delete_api(ApiId=self.physical_resource_id)


class Integration(Resource):
    type, service, fixed = "AWS::ApiGatewayV2::Integration", "apigatewayv2", ("ApiId",)

    def create(self, given: Properties) -> None:
        identity = self.api.create_integration(**given)["IntegrationId"]
        self.known(identity, IntegrationId=identity)

    def update(self, given: Properties) -> None:
        self.api.update_integration(IntegrationId=self.physical_resource_id, **given)

    def delete(self) -> None:
        self.api.delete_integration(ApiId=self.properties["ApiId"], IntegrationId=self.physical_resource_id)


class Route(Resource):
    type, service, fixed = "AWS::ApiGatewayV2::Route", "apigatewayv2", ("ApiId",)

    def create(self, given: Properties) -> None:
        identity = self.api.create_route(**given)["RouteId"]
        self.known(identity, RouteId=identity)

    def update(self, given: Properties) -> None:
        self.api.update_route(RouteId=self.physical_resource_id, **given)

    def delete(self) -> None:
        self.api.delete_route(ApiId=self.properties["ApiId"], RouteId=self.physical_resource_id)


class Stage(Resource):
    type, service, fixed = "AWS::ApiGatewayV2::Stage", "apigatewayv2", ("ApiId", "StageName")

    def create(self, given: Properties) -> None:
        self.api.create_stage(**given, Tags=self.tags)
        self.known(given["StageName"])

    def update(self, given: Properties) -> None:
        """moto has no UpdateStage."""
        self.delete()
        self.create(given)

    def delete(self) -> None:
        self.api.delete_stage(ApiId=self.properties["ApiId"], StageName=self.physical_resource_id)


class Schedule(Resource):
    type, service, fixed = "AWS::Scheduler::Schedule", "scheduler", ("Name",)

    def create(self, given: Properties) -> None:
        name = given.get("Name", self.generated)
        arn = self.api.create_schedule(**{**given, "Name": name})["ScheduleArn"]
        self.known(name, Arn=arn)

    def update(self, given: Properties) -> None:
        self.api.update_schedule(**{**given, "Name": self.physical_resource_id})

    def delete(self) -> None:
        self.api.delete_schedule(Name=self.physical_resource_id)


WHERE = ("ServiceNamespace", "ResourceId", "ScalableDimension")


class ScalableTarget(Resource):
    type, service, fixed = "AWS::ApplicationAutoScaling::ScalableTarget", "application-autoscaling", WHERE

    def create(self, given: Properties) -> None:
        self.update(given)
        identity = "|".join(given[key] for key in ("ResourceId", "ScalableDimension", "ServiceNamespace"))
        self.known(identity, Id=identity)

    def update(self, given: Properties) -> None:
        self.api.register_scalable_target(**given)

    def delete(self) -> None:
        self.api.deregister_scalable_target(**{key: self.properties[key] for key in WHERE})


class ScalingPolicy(Resource):
    type, service = "AWS::ApplicationAutoScaling::ScalingPolicy", "application-autoscaling"
    fixed = ("PolicyName", "ScalingTargetId")

    def create(self, given: Properties) -> None:
        arn = self._put(given)
        self.known(arn, Arn=arn, PolicyName=given["PolicyName"])

    def update(self, given: Properties) -> None:
        self._put(given)

    def delete(self) -> None:
        self.api.delete_scaling_policy(PolicyName=self.properties["PolicyName"], **self._where(self.properties))

    def _put(self, given: Properties) -> str:
        settings = {key: value for key, value in given.items() if key != "ScalingTargetId"}
        return str(self.api.put_scaling_policy(**settings, **self._where(given))["PolicyARN"])

    def _where(self, given: Properties) -> dict[str, str]:
        resource, dimension, namespace = given["ScalingTargetId"].split("|")
        return dict(zip(WHERE, (namespace, resource, dimension), strict=True))


class Model(Resource):
    type, service, fixed = "AWS::SageMaker::Model", "sagemaker", ("ModelName", "PrimaryContainer", "ExecutionRoleArn")

    def create(self, given: Properties) -> None:
        name = given.get("ModelName", self.generated)
        if any(entry["ModelName"] == name for entry in self.api.list_models()["Models"]):
            raise ValueError(f"{name} already exists")
        arn = self.api.create_model(**{**given, "ModelName": name})["ModelArn"]
        self.known(arn, arn, ModelName=name)

    def delete(self) -> None:
        self.api.delete_model(ModelName=self.attributes["ModelName"])


class EndpointConfig(Resource):
    type, service = "AWS::SageMaker::EndpointConfig", "sagemaker"
    fixed = ("EndpointConfigName", "ProductionVariants", "AsyncInferenceConfig")

    def create(self, given: Properties) -> None:
        name = given.get("EndpointConfigName", self.generated)
        if any(entry["EndpointConfigName"] == name for entry in self.api.list_endpoint_configs()["EndpointConfigs"]):
            raise ValueError(f"{name} already exists")
        arn = self.api.create_endpoint_config(**{**given, "EndpointConfigName": name})["EndpointConfigArn"]
        self.known(arn, arn, EndpointConfigName=name)

    def delete(self) -> None:
        self.api.delete_endpoint_config(EndpointConfigName=self.attributes["EndpointConfigName"])


class Endpoint(Resource):
    type, service, fixed = "AWS::SageMaker::Endpoint", "sagemaker", ("EndpointName",)

    def create(self, given: Properties) -> None:
        name = given.get("EndpointName", self.generated)
        if any(entry["EndpointName"] == name for entry in self.api.list_endpoints()["Endpoints"]):
            raise ValueError(f"{name} already exists")
        settings = {key: given[key] for key in given if key not in ("DeploymentConfig", "RetainAllVariantProperties")}
        arn = self.api.create_endpoint(**{**settings, "EndpointName": name})["EndpointArn"]
        self.known(arn, arn, EndpointName=name)

    def update(self, given: Properties) -> None:
        self.api.update_endpoint(**{**given, "EndpointName": self.attributes["EndpointName"]})

    def delete(self) -> None:
        self.api.delete_endpoint(EndpointName=self.attributes["EndpointName"])


def update_endpoint(responses: Any) -> Any:
    """SageMaker's UpdateEndpoint, which moto lacks: the configuration is changed in place, under the same name."""
    from moto.core.responses import ActionResult

    backend = sagemaker_backends[ACCOUNT][responses.region]
    name, config = responses._get_param("EndpointName"), responses._get_param("EndpointConfigName")
    backend.describe_endpoint(name)
    before: FakeEndpoint = backend.endpoints[name]
    backend.create_endpoint(name, config, before.tags)
    after = backend.endpoints[name]
    after.creation_time = before.creation_time
    return ActionResult({"EndpointArn": after.arn})
